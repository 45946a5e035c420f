//! Reads of leases, and of what instances left.

use std::time::{Duration, SystemTime};

use clerk_actor_tokens::ActorTokenId;
use clerk_actor_tokens_store::{Lease, LeaseFilter, LeaseState, LeftOver, call_id, millis, time};
use futures_util::try_join;
use tokio_postgres::{Client, Row};

use super::query::{Query, Value, number, rows};
use crate::Result;

/// The leases with the end of their sessions and their state now. The parameters are the lifetime of a session
/// whose call does not set it, in seconds, and the present time.
pub(crate) const LEASES: &str = "
    SELECT id, call, instance, actor_token_id, subject, actor, principal, reason, created_at, known_at, live_until,
        session_lifetime, session_until, until, ended_at,
        CASE WHEN state IN ('returned', 'lost', 'accepted') AND until <= $2 THEN 'expired'
            ELSE state::text END AS state_now
    FROM (
        SELECT *, CASE state WHEN 'lost' THEN live_until ELSE session_until END AS until
        FROM (
            SELECT *, least(accepted_at, live_until) + 1000 * coalesce(session_lifetime, $1) AS session_until
            FROM leases
        ) AS leases
    ) AS leases";

/// Selects the live ones of [`LEASES`]. The first line has an index: most leases of an audit are over.
const LIVE: &str = "
    coalesce(live_until + 1000 * coalesce(session_lifetime, 0), 9000000000000000) > $2 - 1000 * $1
    AND state_now IN ('returned', 'lost', 'accepted')";

/// Selects the instances whose heir has the name that is the third parameter.
const INHERITED: &str = "instance IN (SELECT instance FROM instances WHERE heir = $3)";

/// Reads leases, the newest first.
pub(crate) async fn leases(
    client: &Client,
    filter: &LeaseFilter,
    session_lifetime: Duration,
) -> Result<Vec<Lease>> {
    let mut query = Query::new(LEASES, values(session_lifetime));
    query.and("call =", filter.call.map(|call| call.to_string()));
    let id = filter.actor_token_id.as_ref();
    query.and("actor_token_id =", id.map(ActorTokenId::as_str));
    query.and_equal("actor", filter.actor.as_ref());
    query.and_equal("subject", filter.subject.as_ref());
    query.and("known_at >=", filter.since.map(millis));
    query.and("state_now =", filter.state.map(LeaseState::as_str));
    if filter.live_only || filter.state.is_some_and(LeaseState::is_live) {
        query.push(LIVE);
    }
    query
        .rows(client, filter.limit.unwrap_or(u32::MAX), lease)
        .await
}

/// Reads the states of live leases.
pub(crate) async fn live_states(
    client: &Client,
    session_lifetime: Duration,
) -> Result<Vec<LeaseState>> {
    let sql = format!("SELECT state_now FROM ({LEASES}) AS leases WHERE {LIVE}");
    rows(client, &sql, &values(session_lifetime), state).await
}

/// Reads the live leases of an instance and of those that it inherited; with `unknown_only`, those of an unknown id.
pub(crate) async fn own_leases(
    client: &Client,
    instance: &str,
    unknown_only: bool,
    session_lifetime: Duration,
) -> Result<Vec<Lease>> {
    let which = match unknown_only {
        true => "actor_token_id IS NULL",
        false => "TRUE",
    };
    let sql = format!(
        "SELECT * FROM ({LEASES}) AS leases
         WHERE {LIVE} AND {which} AND (instance = $3 OR {INHERITED}) ORDER BY id DESC"
    );
    let mut values = values(session_lifetime);
    values.push(instance.into());
    rows(client, &sql, &values, lease).await
}

/// Reads what the instances left that an instance inherited.
pub(crate) async fn left_over(
    client: &Client,
    instance: &str,
    unused: bool,
    session_lifetime: Duration,
) -> Result<LeftOver> {
    // Owed until an end of any revoke of the token proves its state, or a later one took effect or was rejected.
    let revokes = "
        SELECT actor_token_id FROM calls c
        WHERE operation = 'revoke' AND \"end\" = 'interrupted'
            AND instance IN (SELECT instance FROM instances WHERE heir = $1)
            AND NOT EXISTS (
                SELECT FROM calls later
                WHERE later.actor_token_id = c.actor_token_id AND later.operation = 'revoke' AND (
                    later.token_state IS NOT NULL
                    OR later.id > c.id AND later.outcome IN ('applied', 'rejected')
                        AND later.status IS DISTINCT FROM 429
                )
            )
        GROUP BY actor_token_id ORDER BY min(id)";
    let states = if unused {
        "('lost', 'returned')"
    } else {
        "('lost')"
    };
    let leases = format!(
        "SELECT * FROM ({LEASES}) AS leases
         WHERE {LIVE} AND actor_token_id IS NOT NULL AND state_now IN {states} AND {INHERITED} ORDER BY id DESC"
    );
    let mut values = values(session_lifetime);
    values.push(instance.into());
    let (revokes, leases) = try_join!(
        rows(client, revokes, &values[2..], |row| {
            Ok(row.try_get::<_, &str>(0)?.parse()?)
        }),
        rows(client, &leases, &values, lease),
    )?;
    Ok(LeftOver { revokes, leases })
}

/// Reads how many tokens were minted since a time, or may have been.
pub(crate) async fn minted_since(client: &Client, since: SystemTime) -> Result<u64> {
    let sql = "SELECT count(*) AS count FROM calls WHERE has_token AND known_at >= $1";
    let since = [millis(since).into()];
    let mut counts = rows(client, sql, &since, |row| number(row, "count")).await?;
    Ok(counts.pop().flatten().unwrap_or_default())
}

/// Returns the parameters of [`LEASES`].
fn values(session_lifetime: Duration) -> Vec<Value> {
    vec![
        session_lifetime.as_secs().into(),
        millis(SystemTime::now()).into(),
    ]
}

fn lease(row: &Row) -> Result<Lease> {
    let at = |column| Ok::<_, clerk_actor_tokens::BoxError>(number(row, column)?.map(time));
    let state = state(row)?;
    let ended_at = match state {
        LeaseState::Expired => at("ended_at")?.or(at("until")?),
        _ => at("ended_at")?,
    };
    let id: Option<&str> = row.try_get("actor_token_id")?;
    Ok(Lease {
        call: call_id(row.try_get("call")?)?,
        actor_token_id: id.map(str::parse).transpose()?,
        subject: row.try_get("subject")?,
        actor: row.try_get("actor")?,
        principal: row.try_get("principal")?,
        reason: row.try_get("reason")?,
        created_at: at("created_at")?.ok_or("a lease has no time")?,
        live_until: at("live_until")?,
        session_until: at("session_until")?,
        state,
        ended_at,
    })
}

fn state(row: &Row) -> Result<LeaseState> {
    Ok(row.try_get::<_, &str>("state_now")?.parse()?)
}
