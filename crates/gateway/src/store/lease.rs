//! Reads of leases.

use std::time::{Duration, SystemTime};

use clerk_actor_tokens_store::{Lease, LeaseFilter, LeaseState, call_id, millis, time};
use rusqlite::{Connection, Row};

use super::{Result, query::Query};

/// The leases with the end of their sessions and their state now. The parameters are the lifetime of a session
/// whose call does not set it, in seconds, and the present time.
pub(super) const LEASES: &str = "
    SELECT *, CASE WHEN state IN ('returned', 'lost', 'accepted') AND until <= ?2 THEN 'expired'
        ELSE state END AS state_now
    FROM (
        SELECT *, CASE state WHEN 'lost' THEN live_until ELSE session_until END AS until
        FROM (
            SELECT *, min(coalesce(accepted_at, live_until), coalesce(live_until, accepted_at))
                + 1000 * coalesce(session_lifetime, ?1) AS session_until
            FROM leases
        )
    )";

/// Reads leases, the newest first.
pub(super) fn select(
    connection: &Connection,
    filter: &LeaseFilter,
    session_lifetime: Duration,
) -> Result<Vec<Lease>> {
    let limit = filter.limit.unwrap_or(u32::MAX);
    query(filter, session_lifetime).rows(connection, limit, lease)
}

/// Reads the states of live leases.
pub(super) fn live_states(
    connection: &Connection,
    session_lifetime: Duration,
) -> Result<Vec<LeaseState>> {
    query(&LeaseFilter::live(), session_lifetime).rows(connection, u32::MAX, state)
}

fn query(filter: &LeaseFilter, session_lifetime: Duration) -> Query {
    let mut query = Query::new(LEASES);
    query.bind(session_lifetime.as_secs());
    query.bind(millis(SystemTime::now()));
    query.and("call = ?", filter.call.map(|call| call.to_string()));
    let id = filter.actor_token_id.as_ref();
    query.and("actor_token_id = ?", id.map(|id| id.as_str().to_owned()));
    query.and("actor = ?", filter.actor.clone());
    query.and("subject = ?", filter.subject.clone());
    query.and("known_at >= ?", filter.since.map(millis));
    query.and("state_now = ?", filter.state.map(LeaseState::as_str));
    if filter.live_only {
        query.push("state_now IN ('returned', 'lost', 'accepted')");
    }
    if filter.live_only || filter.state.is_some_and(LeaseState::is_live) {
        // Follows from the state, and has an index: most leases of an audit are over.
        query.sort();
        query.push(
            "ifnull(live_until, 9e15) > ?2 - 1000 *
                max(?1, ifnull((SELECT max(session_lifetime) FROM leases), 0))",
        );
    }
    query
}

fn lease(row: &Row<'_>) -> Result<Lease> {
    let at = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<u64>>(column)?.map(time));
    let state = state(row)?;
    let ended_at = match state {
        LeaseState::Expired => at("ended_at")?.or(at("until")?),
        _ => at("ended_at")?,
    };
    let id: Option<String> = row.get("actor_token_id")?;
    Ok(Lease {
        call: call_id(row.get_ref("call")?.as_str()?)?,
        actor_token_id: id.map(|id| id.parse()).transpose()?,
        subject: row.get("subject")?,
        actor: row.get("actor")?,
        principal: row.get("principal")?,
        reason: row.get("reason")?,
        created_at: time(row.get("created_at")?),
        live_until: at("live_until")?,
        session_until: at("session_until")?,
        state,
        ended_at,
    })
}

fn state(row: &Row<'_>) -> Result<LeaseState> {
    Ok(row.get_ref("state_now")?.as_str()?.parse()?)
}
