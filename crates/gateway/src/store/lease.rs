//! [`Lease`], a token that exists or may exist.

use std::time::{Duration, SystemTime};

use clerk_actor_tokens::ActorTokenId;
use clerk_actor_tokens_policy::CallId;
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Result, derive::call_id, millis, query::Query, time};

/// A token that exists or may exist, derived from the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The create's call, which is also the token's claim `call`.
    pub call: CallId,
    /// The token; `None` if its response was lost.
    pub actor_token_id: Option<ActorTokenId>,
    /// The user to sign in as.
    pub subject: String,
    /// The actor's `sub`.
    pub actor: String,
    /// The principal who asked for it.
    pub principal: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When the create was about to be sent. The token is not older.
    pub created_at: SystemTime,
    /// Until when the token can be used, if that is known.
    pub live_until: Option<SystemTime>,
    /// When the last session ends that the token may have begun.
    pub session_until: Option<SystemTime>,
    /// The state.
    pub state: LeaseState,
    /// When the token, or its session, ended.
    pub ended_at: Option<SystemTime>,
}

/// The state of a token, as far as the audit knows. Of two facts the state counts that comes later in this list.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeaseState {
    /// The caller has it.
    Returned,
    /// It exists or may exist, its caller did not get it, and it could not be revoked yet.
    Lost,
    /// It expired unused, or its time and that of its session are over.
    Expired,
    /// It was revoked.
    Revoked,
    /// It was used: a session is live.
    Accepted,
    /// It was used, and its session was ended.
    SessionEnded,
}

impl LeaseState {
    const ALL: [Self; 6] = [
        Self::Returned,
        Self::Lost,
        Self::Expired,
        Self::Revoked,
        Self::Accepted,
        Self::SessionEnded,
    ];

    /// Returns the word of the state, such as `session_ended`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Returned => "returned",
            Self::Lost => "lost",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Accepted => "accepted",
            Self::SessionEnded => "session_ended",
        }
    }

    /// Returns whether the token can be used, or its session may be live.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Returned | Self::Lost | Self::Accepted)
    }
}

/// Which leases to read. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct LeaseFilter {
    /// The lease of a call.
    pub call: Option<CallId>,
    /// The lease of a token.
    pub actor_token_id: Option<ActorTokenId>,
    /// The leases of an actor.
    pub actor: Option<String>,
    /// The leases on a subject.
    pub subject: Option<String>,
    /// The leases of tokens that may have been minted since then.
    pub since: Option<SystemTime>,
    /// The leases in a state.
    pub state: Option<LeaseState>,
    /// The leases that are [live](LeaseState::is_live).
    pub live_only: bool,
    /// How many leases to read at most, the newest ones.
    pub limit: Option<u32>,
}

impl LeaseFilter {
    /// Selects all leases that are [live](LeaseState::is_live).
    pub fn live() -> Self {
        Self {
            live_only: true,
            ..Self::default()
        }
    }
}

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
    let word = row.get_ref("state_now")?.as_str()?;
    let state = LeaseState::ALL
        .into_iter()
        .find(|state| state.as_str() == word);
    Ok(state.ok_or_else(|| format!("no state is `{word}`"))?)
}
