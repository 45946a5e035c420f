//! [`Leases::watch`], which finds out whether a token of an unknown id was used.
//!
//! Such a token cannot be revoked. Its session can be found by the claim `call`, because the API also lists sessions
//! that have ended.

use std::{
    collections::BTreeMap,
    future::ready,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::Session;
use clerk_actor_tokens_policy::{AuditSink, CallId, Principal, audit::FollowUp};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep};

use crate::{Lease, LeaseState, LeaseStore, Leases, leases::AT_ONCE};

/// The longest time between two polls.
const EVERY: Duration = Duration::from_secs(60);

/// The longest time without a poll after which a token still counts as watched.
const MAX_GAP: Duration = Duration::from_secs(5 * 60);

impl<S: LeaseStore, K: AuditSink> Leases<S, K> {
    /// Watches the live leases of an unknown id that `unknown` returns, until their tokens have expired. It polls
    /// the sessions of each subject once a minute, and never ends.
    ///
    /// A session with the call in its actor's claims is recorded as [`FollowUp::Accepted`] and, with
    /// `end_sessions_as`, ended by this principal. [`FollowUp::ExpiredUnused`] is recorded only if
    ///
    /// * the first poll came within five minutes of the create, and none of the others later after the one before,
    /// * no poll failed before the token expired, and
    /// * a poll after that found no session either.
    ///
    /// Otherwise the lease counts as expired by its time alone. Polls are kept in memory, so a process that starts more
    /// than five minutes after the create only looks for sessions.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the watch. Another one cannot record that a token expired unused, unless it begins
    /// within five minutes of the create.
    pub async fn watch<F, Fut>(self, unknown: F, end_sessions_as: Option<Principal>)
    where
        F: Fn() -> Fut + Send,
        Fut: Future<Output = Result<Vec<Lease>, S::Error>> + Send,
    {
        let mut watched = BTreeMap::new();
        loop {
            match unknown().await {
                Ok(leases) => update(&mut watched, leases, end_sessions_as.is_some()),
                Err(error) => {
                    let error = &*error.into() as &dyn std::error::Error;
                    tracing::error!(error, "could not read the leases of an unknown id");
                }
            }
            let polls = watched.into_values().map(|it| {
                let (leases, end_as) = (self.clone(), end_sessions_as.clone());
                async move { leases.poll(it, end_as.as_ref()).await }
            });
            let polled = stream::iter(polls).buffer_unordered(AT_ONCE);
            watched = polled.filter_map(ready).collect().await;
            sleep(EVERY.mul_f64(0.8 + 0.2 * fastrand::f64())).await;
        }
    }

    /// Polls a lease. Returns it if a further poll is needed.
    async fn poll(
        &self,
        watched: Watched,
        end_as: Option<&Principal>,
    ) -> Option<(CallId, Watched)> {
        let Watched {
            mut lease,
            mut polls,
        } = watched;
        let call = lease.call.to_string();
        let is_of_call = |session: &&Session| {
            let claim = session.actor().claims().get("call");
            claim.is_some_and(|claim| *claim == *call)
        };
        let begun = (SystemTime::now(), Instant::now());
        let listed = self.client.impersonations(&lease.subject).await;
        let is_over = match &listed {
            Ok(sessions) => {
                let mut found = sessions.iter().filter(is_of_call).peekable();
                if found.peek().is_some() {
                    if lease.state != LeaseState::Accepted {
                        self.audit.follow_up(lease.call, FollowUp::Accepted);
                        lease.state = LeaseState::Accepted;
                    }
                    let by = end_as.filter(|_| found.any(Session::is_live))?;
                    let ended = self.end_sessions(&lease, by).await;
                    return ended
                        .is_err()
                        .then_some((lease.call, Watched { lease, polls }));
                }
                polls.add(begun, true, lease.live_until)
            }
            Err(error) => {
                tracing::warn!(%call, %error, "could not look for the session of a token of an unknown id");
                polls.add(begun, false, lease.live_until)
            }
        };
        if is_over && polls.are_complete && lease.state == LeaseState::Lost {
            self.audit.follow_up(lease.call, FollowUp::ExpiredUnused);
        }
        (!is_over).then_some((lease.call, Watched { lease, polls }))
    }
}

/// Adds the leases that are new, and removes those of which more is known.
fn update(watched: &mut BTreeMap<CallId, Watched>, leases: Vec<Lease>, ends_sessions: bool) {
    let is_unknown = |lease: &Lease| match lease.state {
        LeaseState::Lost => lease.actor_token_id.is_none(),
        LeaseState::Accepted => lease.actor_token_id.is_none() && ends_sessions,
        _ => false,
    };
    let leases = leases.into_iter().filter(is_unknown);
    let mut listed: BTreeMap<_, _> = leases.map(|lease| (lease.call, lease)).collect();
    let now = SystemTime::now();
    watched.retain(|call, it| {
        // One that has expired is no longer live, and polled once more.
        let has_expired = it.lease.live_until.is_some_and(|until| until <= now);
        listed.remove(call).is_some() || has_expired
    });
    watched.extend(listed.into_iter().map(|(call, lease)| {
        let polls = Polls::new(lease.created_at, Instant::now());
        (call, Watched { lease, polls })
    }));
}

/// A lease, and how it was polled.
struct Watched {
    lease: Lease,
    polls: Polls,
}

/// Whether a token could have been used without a poll that shows it.
struct Polls {
    /// The last poll that succeeded. Before the first one, when the create was about to be sent.
    last: SystemTime,
    /// The same by a clock that is never set back. Before the first poll, when this process learned of the lease.
    last_instant: Instant,
    are_complete: bool,
}

impl Polls {
    fn new(created_at: SystemTime, now: Instant) -> Self {
        Self {
            last: created_at,
            last_instant: now,
            are_complete: true,
        }
    }

    /// Adds a poll that began at this time. Returns whether no further one is needed for a token that expires at
    /// `until`.
    fn add(
        &mut self,
        (at, instant): (SystemTime, Instant),
        succeeded: bool,
        until: Option<SystemTime>,
    ) -> bool {
        // A create in the future was recorded by another clock.
        let gap = at.duration_since(self.last).unwrap_or_default();
        let is_late = gap.max(instant - self.last_instant) > MAX_GAP;
        let is_after = until.is_some_and(|until| at > until);
        if is_late || (!succeeded && !is_after) {
            self.are_complete = false;
        }
        if succeeded {
            (self.last, self.last_instant) = (at, instant);
        }
        is_after && (succeeded || !self.are_complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Adds polls, each so many minutes after the create. Returns whether the last one was over and all were complete.
    fn polled(polls: &[(u32, bool)], until: u32) -> (bool, bool) {
        let (created, begun) = (SystemTime::now(), Instant::now());
        let mut all = Polls::new(created, begun);
        let mut is_over = false;
        for (minute, succeeded) in polls {
            assert!(!is_over, "no poll is needed after minute {minute}");
            let at = (created + MINUTE * *minute, begun + MINUTE * *minute);
            is_over = all.add(at, *succeeded, Some(created + MINUTE * until));
        }
        (is_over, all.are_complete)
    }

    #[test]
    fn polls_are_complete_after_the_token_expired_if_none_failed_or_came_late() {
        let ok = |minute| (minute, true);
        assert_eq!(polled(&[ok(5), ok(10), ok(11)], 10), (true, true));
        // At the time of expiry itself it may be used.
        assert_eq!(polled(&[ok(5), ok(10)], 10), (false, true));
        assert_eq!(polled(&[ok(6), ok(7), ok(11)], 10), (true, false));
        assert_eq!(polled(&[ok(1), ok(7), ok(11)], 10), (true, false));
        assert_eq!(polled(&[ok(1), ok(6), ok(12)], 10), (true, false));
        assert_eq!(polled(&[ok(1), (2, false), ok(3)], 2), (true, false));
    }

    #[test]
    fn poll_that_fails_after_the_token_expired_is_repeated_for_five_minutes() {
        let failed = |minute| (minute, false);
        assert_eq!(polled(&[(4, true), failed(6), (8, true)], 5), (true, true));
        assert_eq!(polled(&[(4, true), failed(6)], 5), (false, true));
        assert_eq!(
            polled(&[(4, true), failed(6), failed(10)], 5),
            (true, false)
        );
    }

    #[test]
    fn clock_that_is_set_back_hides_no_gap() {
        let (created, begun) = (SystemTime::now(), Instant::now());
        let until = Some(created + MINUTE * 2);
        let mut polls = Polls::new(created, begun);
        polls.add((created + MINUTE, begun), true, until);
        assert!(polls.add((created + MINUTE * 3, begun + MINUTE * 9), true, until));
        assert!(!polls.are_complete);
    }
}
