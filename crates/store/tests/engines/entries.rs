//! The entries of calls.
#![allow(dead_code, reason = "no test uses all of it")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clerk_actor_tokens::{Actor, ActorTokenId, ActorTokenRequest, CreateActorToken, Outcome};
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Begin, Effect, End, Entry, Event, FollowUp},
};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The entries of one call.
#[derive(Clone, Copy)]
pub(crate) struct Call(pub(crate) CallId);

impl Call {
    pub(crate) fn new() -> Self {
        Self(CallId::create())
    }

    pub(crate) fn create(self) -> Entry {
        self.begin(&create())
    }

    pub(crate) fn revoke(self, id: &str) -> Entry {
        self.begin(&ActorTokenRequest::revoke(id.parse().unwrap()))
    }

    pub(crate) fn begin(self, request: &ActorTokenRequest) -> Entry {
        Entry::new(self.0, Event::Begin(Begin::of(request)))
    }

    pub(crate) fn sending(self) -> Entry {
        Entry::new(self.0, Event::Sending)
    }

    pub(crate) fn end(self, end: End) -> Entry {
        Entry::new(self.0, Event::End(end))
    }

    pub(crate) fn follow_up(self, event: FollowUp) -> Entry {
        Entry::new(self.0, Event::FollowUp(event))
    }

    /// Returns the entries of a create that returned a token.
    pub(crate) fn returned(self, id: &str) -> [Entry; 3] {
        [self.create(), self.sending(), self.end(returned(id))]
    }

    /// Returns the entries of a revoke that succeeded.
    pub(crate) fn revoked(self, id: &str) -> [Entry; 3] {
        [self.revoke(id), self.sending(), self.end(returned(id))]
    }
}

pub(crate) fn create() -> ActorTokenRequest {
    CreateActorToken::new("user_subject", Actor::new("user_admin")).into()
}

/// A time to which milliseconds are enough.
pub(crate) fn in_an_hour() -> SystemTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UNIX_EPOCH + Duration::from_secs(now.as_secs()) + HOUR
}

pub(crate) fn id(id: &str) -> ActorTokenId {
    id.parse().unwrap()
}

pub(crate) fn returned(token: &str) -> End {
    returned_until(token, in_an_hour())
}

pub(crate) fn returned_until(token: &str, expires_at: SystemTime) -> End {
    End::Returned {
        actor_token_id: id(token),
        expires_at: Some(expires_at),
    }
}

pub(crate) fn effect(outcome: Outcome) -> Effect {
    let mut effect = Effect::new(outcome);
    effect.attempts = 1;
    if matches!(outcome, Outcome::Unknown | Outcome::Applied) {
        effect.exposed_until = Some(in_an_hour());
    }
    effect
}

pub(crate) fn failed(kind: &'static str, outcome: Outcome) -> End {
    End::Failed {
        error: kind.into(),
        status: Some(500),
        code: Some("internal_clerk_error".into()),
        trace_id: None,
        effect: effect(outcome),
    }
}

pub(crate) fn rejected(error: &'static str, status: u16) -> End {
    End::Failed {
        error: error.into(),
        status: Some(status),
        code: None,
        trace_id: None,
        effect: effect(Outcome::Rejected),
    }
}

pub(crate) fn refused() -> End {
    End::Refused {
        status: Some(403),
        code: Some("policy_denied".into()),
        rule: Some("subjects.deny".into()),
    }
}

/// Returns the end of a create that was cancelled and minted a token of this id, if it is known.
pub(crate) fn cancelled(outcome: Outcome, actor_token_id: Option<ActorTokenId>) -> End {
    let mut effect = effect(outcome);
    effect.actor_token_id = actor_token_id;
    End::Cancelled(effect)
}

pub(crate) fn settled(word: &'static str, token: Option<&str>) -> FollowUp {
    FollowUp::Settled {
        settled: word.into(),
        actor_token_id: token.map(id),
        exposed_until: Some(in_an_hour()),
    }
}

/// Returns the entries as if they were two hours old.
pub(crate) fn old(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    let aged = entries.into_iter().map(|mut entry| {
        entry.at = SystemTime::now() - 2 * HOUR;
        entry
    });
    aged.collect()
}

/// A create whose token and session are over.
pub(crate) fn expired() -> Vec<Entry> {
    let call = Call::new();
    let end = call.end(returned_until("act_expired", SystemTime::now() - HOUR));
    old([call.create(), call.sending(), end])
}
