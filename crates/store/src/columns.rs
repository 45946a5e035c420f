//! The columns of a call, as its entries give them.

use clerk_actor_tokens::Outcome;
use clerk_actor_tokens_policy::audit::{Asked, Begin, End, Event};

/// The event of a second end of a call.
pub const LATE: &str = "late";

/// Returns the word of an event, as in its JSON.
pub fn event_word(event: &Event) -> &'static str {
    match event {
        Event::Begin(_) => "begin",
        Event::Sending => "sending",
        Event::End(_) => "end",
        Event::FollowUp(_) => "follow_up",
        Event::Note(_) => "note",
        _ => "other",
    }
}

/// The columns that the begin of a call gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct BeginColumns<'a> {
    /// The operation: `create` or `revoke`.
    pub operation: &'static str,
    /// The principal who asked.
    pub principal: Option<&'a str>,
    /// How the principal was authenticated.
    pub via: Option<&'a str>,
    /// The version of the policy.
    pub policy: Option<&'a str>,
    /// The actor's `sub`.
    pub actor: Option<&'a str>,
    /// The user to sign in as.
    pub subject: Option<&'a str>,
    /// Why.
    pub reason: Option<&'a str>,
    /// The lifetime of the session, in seconds, if the request sets it.
    pub session_lifetime: Option<u64>,
    /// The token to be revoked.
    pub actor_token_id: Option<&'a str>,
}

impl<'a> BeginColumns<'a> {
    /// Returns the columns of a begin.
    pub fn of(begin: &'a Begin) -> Self {
        let principal = begin.principal.as_ref();
        let columns = Self {
            principal: principal.map(|principal| &*principal.id),
            via: principal.map(|principal| &*principal.via),
            policy: begin.policy.as_deref(),
            operation: "other",
            ..Self::default()
        };
        match &begin.asked {
            Asked::Create {
                subject,
                actor,
                reason,
                session_lifetime,
                ..
            } => Self {
                operation: "create",
                actor: Some(actor),
                subject: Some(subject),
                reason: reason.as_deref(),
                session_lifetime: session_lifetime.map(|lifetime| lifetime.as_secs()),
                ..columns
            },
            Asked::Revoke { actor_token_id } => Self {
                operation: "revoke",
                actor_token_id: Some(actor_token_id.as_str()),
                ..columns
            },
            _ => columns,
        }
    }
}

/// The columns that the end of a call gives.
#[derive(Clone, Copy, Debug)]
pub struct EndColumns<'a> {
    /// The word of the end, such as `returned`.
    pub end: &'static str,
    /// Whether it took effect.
    pub outcome: Outcome,
    /// The status of the last response, or of the refusal.
    pub status: Option<u16>,
    /// The error code.
    pub code: Option<&'a str>,
    /// The rule or limit that refused it.
    pub rule: Option<&'a str>,
}

impl<'a> EndColumns<'a> {
    /// Returns the columns of an end.
    pub fn of(end: &'a End) -> Self {
        let columns = |word| Self {
            end: word,
            outcome: end.outcome(),
            status: None,
            code: None,
            rule: None,
        };
        match end {
            End::Abandoned => columns("abandoned"),
            End::Refused { status, code, rule } => Self {
                status: *status,
                code: code.as_deref(),
                rule: rule.as_deref(),
                ..columns("refused")
            },
            End::Returned { .. } => columns("returned"),
            End::Failed { status, code, .. } => Self {
                status: *status,
                code: code.as_deref(),
                ..columns("failed")
            },
            End::Cancelled(_) => columns("cancelled"),
            End::Panicked(_) => columns("panicked"),
            End::Interrupted(_) => columns("interrupted"),
            _ => columns("other"),
        }
    }
}
