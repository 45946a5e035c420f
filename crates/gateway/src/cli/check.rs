//! Validates a configuration, and shows what its policy decides.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use clerk_actor_tokens::{Actor, ActorTokenRequest, BoxError, CreateActorToken, Operation};
use clerk_actor_tokens_gateway::{Config, serve::ServerTls};
use clerk_actor_tokens_policy::{
    Principal, Reason,
    authorize::{Ask, Decision},
};

use super::Failure;

#[derive(Args)]
#[command(after_help = "\
Nothing is sent to Clerk, and no table is opened. It connects to PostgreSQL and to Redis, if the configuration names \
them. Pause, quota and limits are not asked.

Exit codes: 0 valid, and allowed if a request is given; 1 denied; 2 invalid.")]
pub(super) struct CheckArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "GATEWAY_CONFIG")]
    config: PathBuf,
    /// Read neither secrets nor certificates, such as on a machine that has none
    #[arg(long)]
    skip_secrets: bool,
    /// Connect neither to PostgreSQL nor to Redis
    #[arg(long)]
    skip_connections: bool,
    /// A create by this named key
    #[arg(long, value_name = "NAME", conflicts_with = "operator", requires_all = ["actor", "subject"])]
    key: Option<String>,
    /// A create by this operator
    #[arg(long, value_name = "NAME", requires = "subject")]
    operator: Option<String>,
    /// The user who acts; of an operator, the configured one by default
    #[arg(long, value_name = "USER", requires = "subject")]
    actor: Option<String>,
    /// The user to sign in as
    #[arg(long, value_name = "USER")]
    subject: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The lifetime of the token that is asked for, in seconds
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u32>,
    /// The lifetime of the session that is asked for, in seconds
    #[arg(long, value_name = "SECONDS")]
    session: Option<u32>,
}

pub(super) async fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let config = Config::read(&args.config).map_err(Failure::invalid)?;
    if !args.skip_secrets {
        config.accepted_keys().map_err(Failure::invalid)?;
        let tls = config.server.tls.as_ref().map(ServerTls::read);
        tls.transpose().map_err(Failure::invalid)?;
        check_engines(&config, !args.skip_connections).await?;
    }
    let mut out = io::stdout().lock();
    for warning in config.warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    let Some(subject) = &args.subject else {
        let (file, version) = (args.config.display(), config.policy.version());
        let (keys, operators) = (config.keys.len(), config.operators.len());
        writeln!(
            out,
            "{file} is valid: policy {version}, keys: {keys}, operators: {operators}"
        )?;
        return Ok(ExitCode::SUCCESS);
    };
    let (principal, actor) = asker(args, &config)?;
    let mut create = CreateActorToken::new(subject, Actor::new(actor));
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    if let Some(lifetime) = args.lifetime {
        create = create.expires_in(seconds(lifetime));
    }
    if let Some(lifetime) = args.session {
        create = create.session_max_duration(seconds(lifetime));
    }
    let mut request = ActorTokenRequest::create(create);
    let extensions = request.extensions_mut();
    extensions.insert(principal.clone());
    if let Some(reason) = &args.reason {
        extensions.insert(Reason::new(reason));
    }
    let (version, by) = (
        config.policy.version(),
        format!("{} (via {})", principal.id, principal.via),
    );
    match config.policy.decide(&Ask::new(&request)) {
        Decision::Allow(narrowing) => {
            let Operation::Create(create) = request.operation() else {
                unreachable!("a create was made above");
            };
            let create = narrowing.apply(create);
            let seconds = |lifetime: Option<Duration>| lifetime.unwrap_or_default().as_secs();
            writeln!(out, "allow")?;
            writeln!(out, "policy            {version}")?;
            writeln!(out, "principal         {by}")?;
            writeln!(out, "token lifetime    {} s", seconds(create.lifetime()))?;
            writeln!(
                out,
                "session lifetime  {} s",
                seconds(create.session_lifetime())
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Decision::Deny(denial) => {
            writeln!(out, "deny")?;
            writeln!(out, "policy            {version}")?;
            writeln!(out, "principal         {by}")?;
            writeln!(out, "rule              {}", denial.rule())?;
            writeln!(out, "                  {}", denial.sentence())?;
            Ok(ExitCode::FAILURE)
        }
        other => Err(Failure::failed(format!("unexpected decision {other:?}"))),
    }
}

/// Reads where PostgreSQL and Redis are, and connects to them.
async fn check_engines(config: &Config, connect: bool) -> Result<(), Failure> {
    let postgres = config.postgres().map_err(Failure::invalid)?;
    let redis = config.redis().map_err(Failure::invalid)?;
    if !connect {
        return Ok(());
    }
    let named = |name: &str, error: BoxError| {
        let error = Failure::invalid(error);
        Failure::invalid(format!("{name}: {error}"))
    };
    if let Some(postgres) = postgres {
        let checked = postgres.check().await;
        checked.map_err(|error| named("storage.postgres", error.into()))?;
    }
    if let Some(redis) = redis {
        redis.check().await.map_err(|error| named("redis", error))?;
    }
    Ok(())
}

/// Returns who asks, and the actor.
fn asker(args: &CheckArgs, config: &Config) -> Result<(Principal, String), Failure> {
    let unknown = |what: &str, name: &str, known: Vec<&str>| {
        let known = known.join(", ");
        Failure::invalid(format!("[{what}] has no {name}; it has: {known}"))
    };
    match (&args.key, &args.operator) {
        (Some(name), _) => {
            if !config.keys.contains_key(name) {
                let known = config.keys.keys().map(String::as_str).collect();
                return Err(unknown("keys", name, known));
            }
            let actor = args.actor.clone().unwrap_or_default();
            Ok((Principal::new(name.as_str()).via(Principal::KEY), actor))
        }
        (None, Some(name)) => {
            let Some(operator) = config.operators.get(name) else {
                let known = config.operators.keys().map(String::as_str).collect();
                return Err(unknown("operators", name, known));
            };
            let own = operator.actor.as_ref().unwrap_or(name);
            // The rule `actor` compares the principal with the actor.
            let principal = Principal::new(own.as_str()).via("console");
            let groups = operator.groups.iter().cloned();
            let principal = groups.fold(principal, Principal::group);
            Ok((principal, args.actor.as_ref().unwrap_or(own).clone()))
        }
        (None, None) => Err(Failure::invalid(
            "--subject needs who asks: --key NAME --actor USER, or --operator NAME",
        )),
    }
}
