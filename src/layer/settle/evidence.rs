//! [`Evidence`], what the end of an exchange says about the credential that it was to mint.

use bytes::Bytes;
use http::StatusCode;

use super::{SettleEnd, exchange::Answer, unsettled::Unsettled};
use crate::{
    ActorToken,
    call::Attempt,
    layer::{collect_body::CollectBodyError, decode_error},
};

/// What the end of an exchange says about the credential that it was to mint.
pub(super) enum Evidence {
    /// None was minted.
    None,
    /// An answer that speaks of one, or the beginning of it.
    Answer(Bytes),
    /// One may have been minted.
    Silence,
}

impl Evidence {
    pub(super) fn of(answer: &Answer, attempt: &Attempt) -> Self {
        match answer {
            Ok(response) if response.status() == StatusCode::OK => {
                Self::Answer(response.body().clone().into_inner().unwrap_or_default())
            }
            Ok(_) if attempt.has_unseen() => Self::Silence,
            Ok(response) => Self::of_status(response.status()),
            Err(error) => match error.downcast_ref::<CollectBodyError>() {
                Some(cut) => Self::Answer(cut.expose_prefix().clone()),
                None if decode_error::outcome(error, attempt).is_without_effect() => Self::None,
                None => Self::Silence,
            },
        }
    }

    /// What came of an answer that nobody waits for any longer.
    pub(super) fn so_far(attempt: &Attempt) -> Self {
        match attempt.status() {
            // What is known of one exchange says nothing of another.
            _ if attempt.has_unseen() => {
                let read = attempt.read().snapshot();
                let named = ActorToken::salvage_id(&read).is_some();
                if named {
                    Self::Answer(read)
                } else {
                    Self::Silence
                }
            }
            Some(status) if status != StatusCode::OK => Self::of_status(status),
            _ => Self::Answer(attempt.read().snapshot()),
        }
    }

    fn of_status(status: StatusCode) -> Self {
        if decode_error::outcome_of_status(status).is_without_effect() {
            Self::None
        } else {
            Self::Silence
        }
    }

    /// Reports what else may have been minted than the answer tells, by a layer below that sent the create
    /// more than once.
    pub(super) fn report_others(&self, attempt: &Attempt, unsettled: &Unsettled) {
        if matches!(self, Self::Answer(_)) && attempt.is_sent_unseen() {
            unsettled.again().end(SettleEnd::Unknown, None);
        }
    }

    /// Settles the credential; where it must be revoked, in the background.
    pub(super) fn settle(self, unsettled: Unsettled) {
        if let Some(token) = self.judge(unsettled) {
            token.revoke();
        }
    }

    /// Settles the credential, unless it must be revoked: that is left to do.
    pub(super) fn judge(self, unsettled: Unsettled) -> Option<Unsettled> {
        match self {
            Self::None => unsettled.nothing(),
            Self::Answer(body) => return unsettled.judged_by(&body),
            Self::Silence => unsettled.end(SettleEnd::Unknown, None),
        }
        None
    }
}
