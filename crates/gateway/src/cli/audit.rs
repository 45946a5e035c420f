//! Verifies and exports the audit, read-only.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    time::SystemTime,
};

use clap::Subcommand;
use clerk_actor_tokens_gateway::store::{self, Tampered};

use super::{Failure, admin::time};

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Find altered, removed and reordered records (exit code 0 intact, 1 altered)
    Verify {
        /// The anchors of the gateway; without them, removed newest records cannot be found
        #[arg(long, value_name = "FILE")]
        anchors: Option<PathBuf>,
        /// The database
        database: PathBuf,
    },
    /// Write records as JSON lines
    Export {
        /// Only records since this time, such as 2026-11-30T12:00:00Z, or 2h for two hours ago
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<SystemTime>,
        /// Where to; without it, stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The database
        database: PathBuf,
    },
}

pub(super) fn run(command: &AuditCommand) -> Result<ExitCode, Failure> {
    match command {
        AuditCommand::Verify { anchors, database } => {
            match store::verify(database, anchors.as_deref()) {
                Ok(verified) => {
                    let (records, last) = (verified.records, verified.last);
                    let mut out = io::stdout().lock();
                    writeln!(out, "intact: {records} records, the newest is {last}")?;
                    match verified.anchored {
                        Some(anchored) if anchored == last => {}
                        Some(anchored) => {
                            writeln!(out, "no anchor yet for the records after {anchored}")?;
                        }
                        None => writeln!(
                            out,
                            "without anchors, removed newest records cannot be found"
                        )?,
                    }
                    Ok(ExitCode::SUCCESS)
                }
                Err(unreadable @ Tampered::Unreadable(_)) => Err(Failure::failed(unreadable)),
                Err(tampered) => Err(Failure {
                    code: 1,
                    error: tampered.into(),
                }),
            }
        }
        AuditCommand::Export {
            since,
            output,
            database,
        } => {
            let records = match output {
                Some(path) => {
                    let file = File::create(path)
                        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
                    let mut to = BufWriter::new(file);
                    let records = store::export(database, *since, &mut to);
                    let records = records.map_err(Failure::failed)?;
                    to.into_inner().map_err(io::Error::from)?.sync_all()?;
                    records
                }
                None => {
                    let mut to = BufWriter::new(io::stdout().lock());
                    let records = store::export(database, *since, &mut to);
                    let records = records.map_err(Failure::failed)?;
                    to.flush()?;
                    records
                }
            };
            writeln!(io::stderr(), "exported {records} records")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
