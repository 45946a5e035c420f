//! Verifies and exports the audit, read-only.

use std::{
    error::Error,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use clap::{Args, Subcommand};
use clerk_actor_tokens_gateway::{
    Config,
    config::{Anchors, Engine},
    store::{self, VerifyError},
};
use clerk_actor_tokens_postgres::{self as postgres, PostgresConfig};

use super::{Failure, admin::time};

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Find altered, removed and reordered records (exit code 0 intact, 1 altered)
    Verify {
        /// The anchors of the gateway; without them, removed newest records cannot be found. Default: the file that the
        /// configuration names
        #[arg(long, value_name = "FILE")]
        anchors: Option<PathBuf>,
        #[command(flatten)]
        audit: Audit,
    },
    /// Write records as JSON lines
    Export {
        /// Only records since this time, such as 2026-11-30T12:00:00Z, or 2h for two hours ago
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<SystemTime>,
        /// Where to; without it, stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        audit: Audit,
    },
}

/// Where the audit is.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Audit {
    /// The configuration of the gateway, which names its database
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// An SQLite database
    database: Option<PathBuf>,
}

/// A database.
enum Database {
    Sqlite(PathBuf),
    Postgres(Box<PostgresConfig>),
}

impl Audit {
    /// Returns the database, and the file of its anchors if the configuration names one.
    fn open(self) -> Result<(Database, Option<PathBuf>), Failure> {
        let Some(path) = self.config else {
            return Ok((Database::Sqlite(self.database.unwrap_or_default()), None));
        };
        let config = Config::read(path).map_err(Failure::invalid)?;
        let database = match config.postgres().map_err(Failure::invalid)? {
            Some(postgres) => Database::Postgres(Box::new(postgres)),
            None => match &config.storage.engine {
                Engine::Sqlite(path) => Database::Sqlite(path.clone()),
                other => return Err(Failure::invalid(format!("unexpected storage {other:?}"))),
            },
        };
        let anchors = match config.storage.anchors {
            Anchors::File(path) => Some(path),
            Anchors::Stdout => None,
        };
        Ok((database, anchors))
    }
}

pub(super) async fn run(command: AuditCommand) -> Result<ExitCode, Failure> {
    match command {
        AuditCommand::Verify { anchors, audit } => {
            let (database, configured) = audit.open()?;
            let anchors = anchors.or(configured);
            verify(database, anchors.as_deref()).await
        }
        AuditCommand::Export {
            since,
            output,
            audit,
        } => {
            let (database, _) = audit.open()?;
            let records = match output {
                Some(path) => {
                    let file = File::create(&path)
                        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
                    let mut to = BufWriter::new(file);
                    let records = export(database, since, &mut to).await?;
                    to.into_inner().map_err(io::Error::from)?.sync_all()?;
                    records
                }
                None => export(database, since, BufWriter::new(io::stdout())).await?,
            };
            writeln!(io::stderr(), "exported {records} records")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn verify(database: Database, anchors: Option<&Path>) -> Result<ExitCode, Failure> {
    let verified = match database {
        Database::Sqlite(path) => {
            let verified = store::verify(&path, anchors).map_err(not_verified)?;
            vec![(String::new(), verified)]
        }
        Database::Postgres(config) => {
            let all = postgres::verify(*config, anchors).await;
            let all = all.map_err(not_verified)?.into_iter();
            all.map(|it| (format!(" of {}", it.instance), it)).collect()
        }
    };
    let mut out = io::stdout().lock();
    for (of, it) in verified {
        let (records, last) = (it.records, it.last);
        writeln!(out, "intact: {records} records{of}, the newest is {last}")?;
        match it.anchored {
            Some(anchored) if anchored == last => {}
            Some(anchored) => writeln!(out, "no anchor yet for the records after {anchored}")?,
            None => writeln!(
                out,
                "without anchors, removed newest records cannot be found"
            )?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn not_verified(error: VerifyError<impl Error + Send + Sync + 'static>) -> Failure {
    match error {
        VerifyError::Tampered(error) => Failure {
            code: 1,
            error: error.into(),
        },
        error => Failure::failed(error),
    }
}

async fn export(
    database: Database,
    since: Option<SystemTime>,
    to: impl Write,
) -> Result<u64, Failure> {
    match database {
        Database::Sqlite(path) => store::export(&path, since, to).map_err(Failure::failed),
        Database::Postgres(config) => {
            let exported = postgres::export(*config, since, to).await;
            exported.map_err(Failure::failed)
        }
    }
}
