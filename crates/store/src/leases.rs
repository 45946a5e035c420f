//! [`Leases`], the tokens that may be live, and how they end.
//!
//! Each token that a gateway returned, and each that it may have lost, is a lease until it has expired or was
//! ended. Leases are derived from the audit, so that those of a process that was killed are known as well.

use std::{
    fmt, iter,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::{
    ActorTokenId, ActorTokenRequest, Client, EndImpersonationError, Error, ErrorKind, Outcome,
    Session,
};
use clerk_actor_tokens_policy::{
    AuditLayer, AuditSink, CallId, Principal,
    audit::{FollowUp, Note},
};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::time::sleep;

use crate::{Lease, LeaseFilter, LeaseState, LeaseStore, LeftOver};

/// How many leases are ended, or polled, at once.
pub(crate) const AT_ONCE: usize = 8;

/// How much earlier than its token a session may seem to have begun, because the clocks of servers differ.
const MAX_SKEW: Duration = Duration::from_secs(10);

/// The waits, in seconds, between two tries to end what an earlier process left.
const BACKOFF: [u64; 4] = [1, 5, 15, 30];
const MAX_BACKOFF: u64 = 60;

/// The tokens that may be live, in a store. Clones share them.
pub struct Leases<S, K> {
    store: S,
    pub(crate) client: Client,
    pub(crate) audit: AuditLayer<K>,
}

/// What became of a lease that was to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ended {
    /// The call that created the token.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub call: CallId,
    /// The token, if its id is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub actor_token_id: Option<ActorTokenId>,
    /// What became of it.
    pub end: LeaseEnd,
    /// Why it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a lease that was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeaseEnd {
    /// The token is revoked.
    Revoked,
    /// The token was used, and its sessions have ended.
    SessionEnded,
    /// The token was used: **a session may be live**.
    Accepted,
    /// It could not be ended.
    Failed,
}

impl<S: LeaseStore, K: AuditSink> Leases<S, K> {
    /// Creates the leases of a store. `client` has `audit` among its observer layers, and `audit` writes to the
    /// store.
    pub fn new(store: S, client: Client, audit: AuditLayer<K>) -> Self {
        Self {
            store,
            client,
            audit,
        }
    }

    /// Returns leases, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn list(&self, filter: LeaseFilter) -> Result<Vec<Lease>, S::Error> {
        self.store.leases(filter).await
    }

    /// Ends every lease that `filter` finds: revokes its token and, with `sessions`, ends the session of a token
    /// that was used. `by` is the principal in the audit.
    ///
    /// Every lease is tried, whatever becomes of the others.
    ///
    /// # Errors
    ///
    /// When the database cannot be read. A lease that could not be ended is in the result.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends no further lease. A token whose revoke was sent may be revoked.
    pub async fn end(
        &self,
        filter: LeaseFilter,
        sessions: bool,
        by: &Principal,
    ) -> Result<Vec<Ended>, S::Error> {
        let leases = self.store.leases(filter).await?;
        Ok(self.end_all(leases, sessions, by).await)
    }

    /// Ends these leases, as [`end`](Self::end) does.
    pub async fn end_all(&self, leases: Vec<Lease>, sessions: bool, by: &Principal) -> Vec<Ended> {
        let each = leases.into_iter().map(|lease| {
            let (leases, by) = (self.clone(), by.clone());
            async move { leases.end_one(lease, sessions, &by).await }
        });
        stream::iter(each).buffer_unordered(AT_ONCE).collect().await
    }

    async fn end_one(&self, lease: Lease, sessions: bool, by: &Principal) -> Ended {
        let (end, error) = match self.try_end(&lease, sessions, by).await {
            Ok(end) => (end, None),
            Err(reason) => (LeaseEnd::Failed, Some(reason)),
        };
        Ended {
            call: lease.call,
            actor_token_id: lease.actor_token_id,
            end,
            error,
        }
    }

    async fn try_end(
        &self,
        lease: &Lease,
        sessions: bool,
        by: &Principal,
    ) -> Result<LeaseEnd, String> {
        if lease.state != LeaseState::Accepted {
            match &lease.actor_token_id {
                Some(id) => match self.revoke(id.clone(), by).await {
                    Ok(()) => return Ok(LeaseEnd::Revoked),
                    Err(error) if error.kind() == ErrorKind::AlreadyAccepted => {}
                    Err(error) => return Err(error.to_string()),
                },
                None if !sessions => {
                    return Err(
                        "the id of the token is unknown, so only its session can be ended".into(),
                    );
                }
                None => {}
            }
        }
        if !sessions {
            return Ok(LeaseEnd::Accepted);
        }
        let ended = self.end_sessions(lease, by).await;
        let ended = ended.map_err(|error| error.to_string())?;
        // A token of an unknown id that was not used yet can still begin a session.
        match ended.is_empty() && lease.actor_token_id.is_none() {
            true => Err("the token was not used yet, and its id is unknown".into()),
            false => Ok(LeaseEnd::SessionEnded),
        }
    }

    /// Revokes a token. One that is revoked already is no error.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`].
    pub async fn revoke(&self, id: ActorTokenId, by: &Principal) -> Result<(), Error> {
        let mut request = ActorTokenRequest::revoke(id);
        request.extensions_mut().insert(by.clone());
        match self.client.send(request).await {
            Err(error) if error.kind() != ErrorKind::AlreadyRevoked => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends the sessions of a lease, and records that they have ended.
    pub(crate) async fn end_sessions(
        &self,
        lease: &Lease,
        by: &Principal,
    ) -> Result<Vec<Session>, EndImpersonationError> {
        let call = lease.call.to_string();
        let begins = lease.created_at.checked_sub(MAX_SKEW);
        let is_of_lease = |session: &Session| match session.actor().claims().get("call") {
            Some(claim) => *claim == *call,
            // The API may leave out the claims of an actor.
            None => session.actor().sub() == lease.actor && session.created_at() >= begins,
        };
        let ended = self
            .client
            .end_impersonation(&lease.subject, is_of_lease)
            .await?;
        if !ended.is_empty() || lease.actor_token_id.is_some() {
            self.audit.follow_up(lease.call, FollowUp::SessionEnded);
        }
        let note = Note::new("session_ended").by(by.clone()).detail(call);
        if let Err(error) = self.store.note(note).await {
            tracing::error!(call = %lease.call, ?error, "could not record who ended a session");
        }
        Ok(ended)
    }

    /// Ends what a process left that was killed, until that has ended or expired.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the rest, which the store finds again.
    pub async fn clean_up(self, left: LeftOver, by: Principal) {
        let LeftOver {
            mut revokes,
            mut leases,
        } = left;
        for wait in BACKOFF.into_iter().chain(iter::repeat(MAX_BACKOFF)) {
            let mut failed = Vec::new();
            for id in revokes {
                let result = self.revoke(id.clone(), &by).await;
                if result.is_err_and(|error| may_succeed_later(&error)) {
                    failed.push(id);
                }
            }
            revokes = failed;
            let now = SystemTime::now();
            leases.retain(|lease| lease.live_until.is_none_or(|until| until > now));
            let ended = self.end_all(leases.clone(), false, &by).await;
            let failed = ended.iter().filter(|it| it.end == LeaseEnd::Failed);
            let failed: Vec<_> = failed.map(|it| it.call).collect();
            leases.retain(|lease| failed.contains(&lease.call));
            if revokes.is_empty() && leases.is_empty() {
                return;
            }
            sleep(Duration::from_secs(wait)).await;
        }
    }
}

/// Returns whether a revoke that failed may succeed later.
fn may_succeed_later(error: &Error) -> bool {
    error.outcome() != Outcome::Rejected || error.is_rate_limited()
}

impl<S: Clone, K> Clone for Leases<S, K> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            client: self.client.clone(),
            audit: self.audit.clone(),
        }
    }
}

impl<S, K> fmt::Debug for Leases<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").finish_non_exhaustive()
    }
}
