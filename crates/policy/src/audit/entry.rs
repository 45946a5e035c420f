//! [`Entry`], a line of the audit, and its events: [`Begin`], [`End`], [`FollowUp`].

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::{
    ActorToken, ActorTokenId, ActorTokenRequest, CallWatch, Error, ErrorKind, Operation, Outcome,
    client::SettleEvent,
};
use serde::{Deserialize, Serialize};

use super::{
    Note,
    formats::{millis, opt_millis, outcome, seconds},
};
use crate::{CallId, Principal, Reason};

/// A line of the audit. serde writes times as milliseconds since 1970.
///
/// It names users, actors and tokens by their ids, and never holds a ticket. `Debug` leaves out users and
/// actors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The call. A [`Note`] has an id of its own.
    pub call: CallId,
    /// When it was recorded.
    #[serde(with = "millis")]
    pub at: SystemTime,
    /// Whether it was [spooled](super::Spool) and reached the sink later.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// The event itself.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// Creates an entry of this time.
    pub fn new(call: CallId, event: Event) -> Self {
        let (at, late) = (SystemTime::now(), false);
        Self {
            call,
            at,
            late,
            event,
        }
    }

    /// Creates an entry of this time for a note.
    pub fn note(note: Note) -> Self {
        Self::new(CallId::create(), Event::Note(note))
    }
}

/// An event of a call, or a note.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The call began. Nothing has been sent.
    Begin(Begin),
    /// The call passed the barrier: from now on it may have been sent.
    Sending,
    /// The call ended.
    End(End),
    /// A fact became known after the call.
    FollowUp(FollowUp),
    /// The host noted a fact.
    Note(Note),
}

/// The beginning of a call: its operation and its principal.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Begin {
    /// The [`Principal`], if the host has put one into the extensions of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// The version of the loaded policy, if the layer [knows the policy](super::AuditLayer::policy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Arc<str>>,
    /// The operation.
    #[serde(flatten)]
    pub asked: Asked,
}

/// An operation as the audit records it. serde writes lifetimes as whole seconds.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Asked {
    /// Mint a token.
    Create {
        /// The user to sign in as.
        subject: String,
        /// The actor's `sub`.
        actor: String,
        /// The [`Reason`], whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
        /// The lifetime of the token, if the caller sets it.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
        lifetime: Option<Duration>,
        /// The longest lifetime of the session, if the caller sets it.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
        session_lifetime: Option<Duration>,
    },
    /// Revoke a token.
    Revoke {
        /// The token.
        actor_token_id: ActorTokenId,
    },
    /// An operation that this version does not know.
    #[serde(other)]
    Other,
}

impl Begin {
    /// Reads a request, above the layers that complete it.
    pub fn of(request: &ActorTokenRequest) -> Self {
        let asked = match request.operation() {
            Operation::Create(create) => Asked::Create {
                subject: create.user_id().to_owned(),
                actor: create.actor().sub().to_owned(),
                reason: Reason::of(request).map(Reason::into_text),
                lifetime: create.lifetime(),
                session_lifetime: create.session_lifetime(),
            },
            Operation::Revoke(id) => Asked::Revoke {
                actor_token_id: id.clone(),
            },
            _ => Asked::Other,
        };
        Self {
            principal: request.extensions().get().cloned(),
            policy: None,
            asked,
        }
    }
}

/// How a call ended. A call has exactly one end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
#[non_exhaustive]
pub enum End {
    /// The caller or a timeout gave up before the begin was known to be durable. Nothing was sent, unless
    /// [late](Entry::late) entries of the call say so.
    Abandoned,
    /// A layer refused the call, so nothing was sent.
    Refused {
        /// The status of the refusal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// The error code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// The rule or limit that refused the call: `meta.rule` of the error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// The call succeeded.
    Returned {
        /// The token that was minted or revoked.
        actor_token_id: ActorTokenId,
        /// Until when a minted token can be used.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "opt_millis")]
        expires_at: Option<SystemTime>,
    },
    /// The call failed.
    Failed {
        /// The [kind](ErrorKind::as_str) of the error.
        error: Cow<'static, str>,
        /// The status of the last response.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// The error code of the last response.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// The id with which Clerk's support finds the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace_id: Option<String>,
        /// Whether it may have taken effect.
        #[serde(flatten)]
        effect: Effect,
    },
    /// The caller dropped the call.
    Cancelled(Effect),
    /// A layer or the transport panicked.
    Panicked(Effect),
    /// The process ended before the call did. Its successor writes this end.
    Interrupted(Effect),
}

impl End {
    /// Describes the result of a call.
    pub fn of(result: &Result<ActorToken, Error>) -> Self {
        match result {
            Ok(token) => Self::Returned {
                actor_token_id: token.id().clone(),
                expires_at: token.expires_at(),
            },
            Err(error)
                if error.kind() == ErrorKind::Refused && error.outcome() == Outcome::NotSent =>
            {
                Self::Refused {
                    status: error.status().map(|status| status.as_u16()),
                    code: error.code().map(str::to_owned),
                    rule: rule_of(error),
                }
            }
            Err(error) => Self::Failed {
                error: error.kind().as_str().into(),
                status: error.status().map(|status| status.as_u16()),
                code: error.code().map(str::to_owned),
                trace_id: error.trace_id().map(str::to_owned),
                effect: Effect {
                    outcome: error.outcome(),
                    attempts: error.attempts(),
                    is_settling: error.is_settling(),
                    exposed_until: error.exposed_until(),
                    actor_token_id: error.actor_token_id().cloned(),
                },
            },
        }
    }

    /// Returns whether the operation may have taken effect.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Abandoned | Self::Refused { .. } => Outcome::NotSent,
            Self::Returned { .. } => Outcome::Applied,
            Self::Failed { effect, .. }
            | Self::Cancelled(effect)
            | Self::Panicked(effect)
            | Self::Interrupted(effect) => effect.outcome,
        }
    }
}

fn rule_of(error: &Error) -> Option<String> {
    let entry = error.clerk_errors()?.errors.first()?;
    Some(entry.meta.get("rule")?.as_str()?.to_owned())
}

/// The possible effect of a call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Effect {
    /// Whether the operation may have taken effect.
    #[serde(with = "outcome")]
    pub outcome: Outcome,
    /// How many attempts began.
    pub attempts: u32,
    /// Whether an attempt is followed in the background. A [`FollowUp::Settled`] says how that ends, if it
    /// minted a token.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_settling: bool,
    /// Until when a token that the call minted can be used.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "opt_millis")]
    pub exposed_until: Option<SystemTime>,
    /// The token that the call minted, if its id is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_token_id: Option<ActorTokenId>,
}

impl Effect {
    /// Describes a call of which nothing but the outcome is known, without attempts.
    pub fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            attempts: 0,
            is_settling: false,
            exposed_until: None,
            actor_token_id: None,
        }
    }

    /// Reads the watch of a call whose inner future was dropped.
    pub fn of(watch: &CallWatch) -> Self {
        Self {
            outcome: watch.outcome(),
            attempts: watch.attempts(),
            is_settling: watch.is_settling(),
            exposed_until: watch.exposed_until(),
            actor_token_id: watch.actor_token_id(),
        }
    }
}

/// A fact that became known after a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "follow_up", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FollowUp {
    /// The end was not durable in time, or the call was cancelled meanwhile. The caller did not get the
    /// token that the end names, so it is revoked.
    Withheld,
    /// A token that its caller did not get was settled.
    Settled {
        /// The [end](clerk_actor_tokens::client::SettleEnd::as_str) of the token.
        settled: Cow<'static, str>,
        /// The token, if its id is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor_token_id: Option<ActorTokenId>,
        /// Until when the token can be used.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "opt_millis")]
        exposed_until: Option<SystemTime>,
    },
    /// The token was used: a session is live.
    Accepted,
    /// The session was ended.
    SessionEnded,
    /// The token expired without having been used.
    ExpiredUnused,
}

impl From<&SettleEvent> for FollowUp {
    fn from(event: &SettleEvent) -> Self {
        Self::Settled {
            settled: event.end().as_str().into(),
            actor_token_id: event.actor_token_id().cloned(),
            exposed_until: event.exposed_until(),
        }
    }
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begin")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { .. } => f.debug_struct("Create").finish_non_exhaustive(),
            Self::Revoke { actor_token_id } => f
                .debug_struct("Revoke")
                .field("actor_token_id", actor_token_id)
                .finish(),
            Self::Other => f.write_str("Other"),
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}
