//! Compares the audit with the ledger of the sandbox and with what the callers know.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::sandbox::LedgerEntry;
use clerk_actor_tokens_policy::CallId;
use clerk_actor_tokens_postgres::{PostgresConfig, verify};
use clerk_actor_tokens_store::{Anchors, Lease, LeaseFilter, LeaseState};
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;

use crate::{Result, clerk::Clerk, driver::Seen, limits::over_limit, servers::Postgres};

/// How far ahead the clock of a gateway is at most.
const SKEW: Duration = Duration::from_secs(20);

/// What a check found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) recorded: u64,
    pub(crate) without_one_end: u64,
    pub(crate) late: u64,
    pub(crate) instances: u64,
    pub(crate) unknown: u64,
    pub(crate) over_limit: u64,
    pub(crate) problems: Vec<String>,
}

async fn client(postgres: &Postgres) -> Result<tokio_postgres::Client> {
    let url = Postgres::url(postgres.port);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute("SET search_path TO actor_tokens")
        .await?;
    Ok(client)
}

/// Waits until no call is open. Returns how many are after the limit.
pub(crate) async fn recovered(postgres: &Postgres, limit: Duration) -> Result<i64> {
    let client = client(postgres).await?;
    let begun = Instant::now();
    loop {
        let sql = r#"SELECT count(*) FROM calls WHERE "end" IS NULL"#;
        let open: i64 = client.query_one(sql, &[]).await?.get(0);
        if open == 0 || begun.elapsed() > limit {
            return Ok(open);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Checks the audit of gateways that have ended.
pub(crate) async fn check(
    postgres: &Postgres,
    clerk: &Clerk,
    seen: &Seen,
    changes: &[SystemTime],
    open: i64,
) -> Result<Found> {
    let mut found = Found::default();
    if open > 0 {
        found.problems.push(format!(
            "{open} calls were open when recovery should have ended"
        ));
    }
    records(postgres, &mut found).await?;
    let config = || {
        Ok::<_, crate::Error>(
            PostgresConfig::new(&Postgres::url(postgres.port))?.anchors(Anchors::Stdout),
        )
    };
    for verified in verify(config()?, None).await? {
        found.instances += u64::from(verified.records > 0);
    }
    let store = config()?.connect().await?;
    let every = LeaseFilter {
        limit: Some(u32::MAX),
        ..LeaseFilter::default()
    };
    let leases = store.leases(every).await?;
    store.stop(true).await?;
    let leases: HashMap<_, _> = leases
        .into_iter()
        .map(|lease| (lease.call, lease))
        .collect();
    let ledger = clerk.sandbox.ledger();
    for token in ledger.minted() {
        match accounted(token, &leases, seen) {
            Ok(true) => {}
            Ok(false) => found.unknown += 1,
            Err(problem) => found.problems.push(problem),
        }
    }
    let minted = ledger
        .minted()
        .map(|it| (it.actor().sub(), it.created_at()));
    found.over_limit = over_limit(minted, changes);
    Ok(found)
}

/// Counts the records.
async fn records(postgres: &Postgres, found: &mut Found) -> Result<()> {
    let client = client(postgres).await?;
    let sql =
        "SELECT call, count(*) FILTER (WHERE event = 'end'), count(*) FILTER (WHERE event = 'late')
        FROM records WHERE event <> 'note' GROUP BY call HAVING bool_or(event = 'begin')";
    for row in client.query(sql, &[]).await? {
        let (call, ends, late): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
        found.recorded += 1;
        found.late += u64::try_from(late)?;
        if ends != 1 {
            found.without_one_end += 1;
            found.problems.push(format!("call {call} has {ends} ends"));
        }
    }
    Ok(())
}

/// Returns whether the audit knows the id of a token, or why the token is not accounted for.
fn accounted(
    token: &LedgerEntry,
    leases: &HashMap<CallId, Lease>,
    seen: &Seen,
) -> Result<bool, String> {
    let call = token
        .actor()
        .claims()
        .get("call")
        .cloned()
        .unwrap_or_default();
    let call: Option<CallId> = serde_json::from_value(call).ok();
    let lease = call.and_then(|call| leases.get(&call));
    let lease = lease.ok_or_else(|| format!("{token:?} has no lease"))?;
    let is_known = lease.actor_token_id.as_ref() == Some(token.id());
    let problem = |what: &str| Err(format!("{what}: {token:?}, {lease:?}"));
    if !is_known && lease.actor_token_id.is_some() {
        return problem("the lease has another token");
    }
    if !is_known && seen.returned.contains(token.id()) {
        return problem("the token was returned, and its id is not recorded");
    }
    if token.is_usable() {
        let is_live = matches!(lease.state, LeaseState::Returned | LeaseState::Lost);
        if !is_live {
            return problem("the token can be used, and its lease has ended");
        }
        if !is_known && lease.state != LeaseState::Lost {
            return problem("the token is unknown, and its lease does not say so");
        }
        if lease
            .live_until
            .is_some_and(|until| until + SKEW < token.expires_at())
        {
            return problem("the token outlives its lease");
        }
        if seen.revoked.contains(token.id()) {
            return problem("the token was revoked, and can be used");
        }
    }
    Ok(is_known)
}
