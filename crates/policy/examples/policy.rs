//! All policy layers over a sandbox: calls that end in every way, and their audit as a table.
//!
//! ```text
//! cargo run -p clerk-actor-tokens-policy --example policy
//! ```
//!
//! `RUST_LOG=trace` logs everything but secrets.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Client, ClientBuilder, ConfigError, CreateActorToken, RetryConfig,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_policy::{
    AttributionLayer, AuditBarrierLayer, AuditLayer, AuditSink, AuthorizeLayer, CallId, GateLayer,
    Limit, MemoryGate, MemoryRateLimitStore, Policy, Principal, RateLimitLayer, Reason,
    SharedPolicy,
    audit::{Asked, Begin, End, Entry, Event, FollowUp, JsonLinesSink},
};
use serde::Deserialize;
use tokio::{select, time::sleep};

/// Times are in seconds.
const CONFIG: &str = r#"
limits = [
    { by = "actor", calls = 2, per = 60 },
    { by = "global", calls = 100, per = 10 },
]

[policy]
version = "2026-11-30"
lifetime = { default = 300, longest = 900 }
session = { default = 600, longest = 1800 }
reason = { min_length = 10 }
actors = { allow = ["group:support"] }
subjects = { deny = ["user_ceo"] }
"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    limits: Vec<Limit>,
    policy: Policy,
}

/// Builds the stack from the caller to the network. Against Clerk, it would begin with
/// `ClientBuilder::from_env()?`.
fn stack<K: AuditSink>(
    sandbox: &Sandbox,
    audit: AuditLayer<K>,
    config: Config,
) -> Result<Client, ConfigError> {
    let policy = SharedPolicy::new(config.policy);
    let attribution = AttributionLayer::new("support-gateway").policy(policy.clone());
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        // The ends of tokens that their callers did not get.
        .on_settle(audit.on_settle())
        // Above everything that can fail, so that refused and cancelled calls are recorded.
        .observe_layer(audit.policy(policy.clone()))
        .observe_layer(attribution)
        .call_layer(AuthorizeLayer::new(policy))
        // Below Authorize, so that a denied call takes no unit.
        .call_layer(RateLimitLayer::new(MemoryRateLimitStore::new(), config.limits))
        // The last call layer: a call without this mark was not sent.
        .call_layer(AuditBarrierLayer::new())
        // Below retry, so that every attempt passes the gate.
        .attempt_layer(GateLayer::new(MemoryGate::new(), "production"))
        .build()
}

/// Adds the principal, whom the host authenticated.
fn by(user: &str, request: impl Into<ActorTokenRequest>) -> ActorTokenRequest {
    let mut request = request.into();
    let principal = Principal::new(user).via("console").group("support");
    request.extensions_mut().insert(principal);
    request
}

fn create(user: &str, subject: &str, reason: &str) -> ActorTokenRequest {
    let mut request = by(user, CreateActorToken::new(subject, Actor::new(user)));
    request.extensions_mut().insert(Reason::new(reason));
    request
}

/// Makes calls that are allowed, denied, limited, failed and cancelled.
async fn play(sandbox: &Sandbox, client: &Client) -> Result<(), Box<dyn Error>> {
    const TICKET: &str = "ticket 4711: cannot log in";
    let ask = |user| create(user, "user_customer", TICKET);

    let token = client.send(ask("user_ann")).await?;
    token.expose_url().ok_or("no link")?;
    let revoke = ActorTokenRequest::revoke(token.id().clone());
    client.send(by("user_ann", revoke)).await?;

    let denied = [
        create("user_ann", "user_ceo", TICKET),
        create("user_ann", "user_customer", "please"),
    ];
    for request in denied {
        client.send(request).await.expect_err("denied");
    }

    // A ticket that is dropped unread revokes its token. Its revoke must not take the next fault.
    drop(client.send(ask("user_ann")).await?);
    client.drain(Duration::from_secs(5)).await;
    // Two a minute: the denied calls have taken nothing.
    client.send(ask("user_ann")).await.expect_err("limited");

    // A 429 closes the gate, so that the next call waits as well.
    sandbox.inject(Fault::RateLimited {
        retry_after: Duration::from_secs(1),
    });
    let once = ask("user_bo").retry(RetryConfig::disabled());
    client.send(once).await.expect_err("a 429");
    let token = client.send(ask("user_bo")).await?;
    token.expose_url().ok_or("no link")?;

    // The token is minted, but its id never arrives.
    sandbox.inject(Fault::DisconnectAfter);
    client.send(ask("user_cy")).await.expect_err("a reset");

    // The caller drops the call once the token is minted.
    sandbox.inject(Fault::DelayAfter(Duration::from_millis(500)));
    let before = sandbox.ledger().minted().len();
    let minted = async {
        while sandbox.ledger().minted().len() == before {
            sleep(Duration::from_millis(5)).await;
        }
    };
    select! {
        _ = client.send(ask("user_cy")) => Err("the call was not cancelled".into()),
        () = minted => Ok(()),
    }
}

/// The entries of a call.
#[derive(Default)]
struct Row {
    begin: Option<(SystemTime, Begin)>,
    is_sent: bool,
    ends: Vec<(SystemTime, End)>,
    later: Vec<FollowUp>,
}

fn read(path: &Path) -> Result<BTreeMap<CallId, Row>, Box<dyn Error>> {
    let mut rows = BTreeMap::<_, Row>::new();
    for line in fs::read_to_string(path)?.lines() {
        let Entry {
            call, at, event, ..
        } = serde_json::from_str(line)?;
        let row = rows.entry(call).or_default();
        match event {
            Event::Begin(begin) => row.begin = Some((at, begin)),
            Event::Sending => row.is_sent = true,
            Event::End(end) => row.ends.push((at, end)),
            Event::FollowUp(event) => row.later.push(event),
            other => return Err(format!("an unknown entry: {other:?}").into()),
        }
    }
    Ok(rows)
}

const COLUMNS: [(&str, usize); 9] = [
    ("call", 8),
    ("principal", 9),
    ("operation", 20),
    ("time", 7),
    ("sent", 4),
    ("end", 9),
    ("outcome", 8),
    ("error", 20),
    ("later", 0),
];

fn cells(call: CallId, row: &Row) -> Result<[String; 9], Box<dyn Error>> {
    let (begun, begin) = row.begin.as_ref().ok_or("a call without its begin")?;
    let [(ended, end)] = &row.ends[..] else {
        return Err("a call without exactly one end".into());
    };
    let principal = begin
        .principal
        .as_ref()
        .ok_or("a call without its principal")?;
    let operation = match &begin.asked {
        Asked::Create { subject, .. } => format!("create {subject}"),
        Asked::Revoke { .. } => "revoke".into(),
        other => format!("{other:?}"),
    };
    let (word, error) = match end {
        End::Returned { .. } => ("returned", None),
        End::Refused { code, rule, .. } => ("refused", rule.as_deref().or(code.as_deref())),
        End::Failed { error, code, .. } => ("failed", code.as_deref().or(Some(error))),
        End::Cancelled(_) => ("cancelled", None),
        End::Panicked(_) => ("panicked", None),
        _ => ("abandoned", None),
    };
    let later = row.later.iter().map(|event| match event {
        FollowUp::Settled { settled, .. } => format!("settled: {settled}"),
        other => format!("{other:?}"),
    });
    Ok([
        // Without the first digits, which are the time.
        call.to_string().split_off(24),
        principal.id.to_string(),
        operation,
        format!("{} ms", ended.duration_since(*begun)?.as_millis()),
        if row.is_sent { "yes" } else { "no" }.into(),
        word.into(),
        end.outcome().as_str().into(),
        error.unwrap_or_default().into(),
        later.collect::<Vec<_>>().join(", "),
    ])
}

fn print(cells: [String; 9]) {
    let cells = cells.iter().zip(COLUMNS);
    let line: Vec<_> = cells
        .map(|(cell, (_, width))| format!("{cell:width$}"))
        .collect();
    println!("{}", line.join("  ").trim_end());
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("audit.jsonl");
    let sink = JsonLinesSink::open(&path)?;
    let audit = AuditLayer::new(sink.clone());
    let sandbox = Sandbox::new();
    let client = stack(&sandbox, audit.clone(), toml::from_str(CONFIG)?)?;
    play(&sandbox, &client).await?;

    // First the tokens that their callers did not get, then the entries that waited, then the file.
    client.drain(Duration::from_secs(5)).await;
    audit.replay().await?;
    sink.flush().await?;

    let rows = read(&path)?;
    print(COLUMNS.map(|(name, _)| name.into()));
    for (call, row) in &rows {
        print(cells(*call, row)?);
    }
    // Each token names its call, also one whose id is not known here.
    for token in sandbox.ledger().minted() {
        let call: CallId = serde_json::from_value(token.actor().claims()["call"].clone())?;
        let sent = rows.get(&call).filter(|row| row.is_sent);
        sent.ok_or("a token of a call that was not sent")?;
    }
    Ok(())
}
