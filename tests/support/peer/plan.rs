//! The plan of an exchange, as data.

use std::time::Duration;

use clerk_actor_tokens::OperationKind;

use super::{MARKER, USER};

/// The peer's plan for one request.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The time before the request body is taken.
    pub(crate) before_taking: Pause,
    pub(crate) before_head: Pause,
    pub(crate) head: Head,
    pub(crate) content: Content,
    /// The part of the content that is sent, in thousandths.
    pub(crate) length: usize,
    /// The number of frames.
    pub(crate) frames: usize,
    /// The time before each frame, and before the end.
    pub(crate) before_frame: Pause,
    pub(crate) end: End,
    pub(crate) effect: Effect,
}

/// A number of polls that are pending and wake at once, then a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pause {
    pub(crate) polls: usize,
    pub(crate) time: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Head {
    /// A status, and the seconds of a `Retry-After`.
    Status(u16, Option<u64>),
    Fail,
    Hang,
    Panic,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    Token,
    TokenWithoutCredential,
    /// The token of another user.
    Foreign,
    /// A token, followed by more bytes than the client reads.
    TooLong,
    Garbage,
    /// A token with this status.
    Status(&'static str),
    /// The refusal of a revoke because the token has this status.
    CannotBeRevoked(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Whole,
    Fail,
    Hang,
    Panic,
}

/// When a create mints or a revoke revokes, at the latest when the exchange ends. A client that disconnects
/// cannot undo a request that the peer took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Effect {
    Never,
    WhenTaken,
    WithHead,
    WithBody,
}

impl Exchange {
    /// A prompt 200.
    pub(crate) fn prompt() -> Self {
        Self {
            before_taking: Pause::default(),
            before_head: Pause::default(),
            head: Head::Status(200, None),
            content: Content::Token,
            length: 1000,
            frames: 1,
            before_frame: Pause::default(),
            end: End::Whole,
            effect: Effect::WhenTaken,
        }
    }

    /// A refusal without effect.
    pub(crate) fn refusal(status: u16, retry_after: Option<u64>) -> Self {
        Self {
            head: Head::Status(status, retry_after),
            content: Content::Garbage,
            effect: Effect::Never,
            ..Self::prompt()
        }
    }
}

impl Pause {
    pub(crate) fn polls(polls: usize) -> Self {
        let time = Duration::ZERO;
        Self { polls, time }
    }

    pub(crate) fn time(time: Duration) -> Self {
        Self { polls: 0, time }
    }

    pub(crate) async fn wait(self) {
        for _ in 0..self.polls {
            tokio::task::yield_now().await;
        }
        if !self.time.is_zero() {
            tokio::time::sleep(self.time).await;
        }
    }
}

impl Content {
    /// Returns a body about the token with this id. A nested id precedes it.
    pub(super) fn text(self, kind: OperationKind, id: &str) -> String {
        let status = match (self, kind) {
            (Self::Status(status), _) => status,
            (_, OperationKind::Revoke) => "revoked",
            _ => "pending",
        };
        let token = |user: &str, rest: &str| {
            format!(
                r#"{{"object":"actor_token","actor":{{"id":"act_nested","sub":"user_admin"}},"id":"{id}","user_id":"{user}","status":"{status}"{rest}}}"#
            )
        };
        let credential = format!(
            r#","token":"{MARKER}-{id}","url":"https://example.com/{MARKER}?{id}","created_at":1700000000000"#
        );
        match self {
            Self::Token | Self::Status(_) => token(USER, &credential),
            Self::TokenWithoutCredential => token(USER, ""),
            Self::Foreign => token("user_other", &credential),
            Self::TooLong => token(USER, &credential) + &" ".repeat(8 * 1024),
            Self::Garbage => format!("<html>{MARKER}</html>"),
            Self::CannotBeRevoked(status) => format!(
                r#"{{"errors":[{{"code":"actor_token_cannot_be_revoked_code","message":"cannot be revoked","long_message":"Actor token cannot be revoked because its status is {status}. Only pending actor tokens can be revoked."}}]}}"#
            ),
        }
    }
}
