//! The command line: arguments, log, and exit codes.

mod admin;
mod audit;
mod check;
mod demo;
mod operator;
mod serve;

use std::{
    error::Error,
    fmt,
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

const ABOUT: &str = "A gateway for Clerk's actor tokens: policy, audit, limits and leases for any Clerk SDK.

Without a subcommand it serves. Without a configuration it serves a demo against a sandbox: nothing to install, \
nothing reaches Clerk.";

const EXAMPLES: &str = "\
Examples:
  clerk-actor-tokens-gateway                                   the demo, with a key and a curl line to try
  clerk-actor-tokens-gateway serve --config gateway.toml
  clerk-actor-tokens-gateway check --config gateway.toml --key helpdesk --actor user_1 --subject user_2
  clerk-actor-tokens-gateway operator jo --role view,end >> gateway.toml
  clerk-actor-tokens-gateway end --subject user_2 --sessions
  clerk-actor-tokens-gateway pause --reason 'incident 4711'
  clerk-actor-tokens-gateway audit verify --anchors anchors.jsonl audit.sqlite
  clerk-actor-tokens-gateway audit export --config gateway.toml --since 2h

Signals of `serve`:
  SIGTERM, SIGINT  refuse new calls, finish those in flight, revoke lost tokens, end leases; a second one ends at once
  SIGHUP           read the configuration and the certificates again; an invalid one changes nothing.
                   Gateways with one PostgreSQL follow each other: a new version of the policy reaches all of them

Exit codes:
  0  done: stopped with everything settled, allowed, ended, intact
  1  not so: something may be unsettled, denied, not ended, or altered
  2  the arguments or the configuration are invalid
  3  failed: an address is in use, the database is locked, the gateway cannot be reached

RUST_LOG sets what is logged to stderr (default: info).";

#[derive(Parser)]
#[command(
    version,
    about = ABOUT,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    max_term_width = 110
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
    /// How log lines on stderr are written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "GATEWAY_LOG_FORMAT"
    )]
    log_format: LogFormat,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default)
    Serve(serve::ServeArgs),
    /// Validate a configuration, and show what its policy decides about a request
    Check(check::CheckArgs),
    /// Verify or export the audit, also while the gateway runs
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// End tokens, and the sessions that began with them, at a running gateway
    End(admin::EndArgs),
    /// Refuse creates at a running gateway until it is resumed; revokes pass
    Pause(admin::PauseArgs),
    /// Make the token of an operator, and its lines for the configuration
    Operator(operator::OperatorArgs),
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Why the program ends: an exit code, and an error for people.
struct Failure {
    code: u8,
    error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// The arguments or the configuration are invalid.
    fn invalid(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self { code: 2, error }
    }

    /// Something that the program needs failed.
    fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self { code: 3, error }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

impl fmt::Display for Failure {
    /// The error and its sources.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut source = self.error.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.log_format);
    let result = match cli.command {
        None => runtime().and_then(|it| it.block_on(serve_or_demo(cli.serve))),
        Some(Command::Serve(args)) => runtime().and_then(|it| it.block_on(serve_or_demo(args))),
        Some(Command::Check(args)) => runtime().and_then(|it| it.block_on(check::run(&args))),
        Some(Command::Audit(command)) => runtime().and_then(|it| it.block_on(audit::run(command))),
        Some(Command::End(args)) => runtime().and_then(|it| it.block_on(admin::end(args))),
        Some(Command::Pause(args)) => runtime().and_then(|it| it.block_on(admin::pause(args))),
        Some(Command::Operator(args)) => operator::run(args),
    };
    result.unwrap_or_else(|failure| {
        // Like `head`, a reader that has enough is no failure.
        let error = failure.error.downcast_ref::<io::Error>();
        if error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {failure}");
        ExitCode::from(failure.code)
    })
}

async fn serve_or_demo(args: serve::ServeArgs) -> Result<ExitCode, Failure> {
    match args.config {
        Some(path) => serve::run(&path, args.port).await,
        None => demo::run(args.data, args.port).await,
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.enable_all().build()?)
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would print to stderr that stderr cannot be written, and panic in the middle of a call.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
