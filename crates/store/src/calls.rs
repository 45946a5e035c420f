//! The rows of calls, and the calls that a process left open.

use std::time::SystemTime;

use clerk_actor_tokens::ActorTokenId;
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Begin, Entry},
};
use serde::{Deserialize, Serialize};

/// Which calls to read. The default is all of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields, default)]
pub struct CallFilter {
    /// A prefix of the actor's `sub`.
    pub actor: Option<String>,
    /// A prefix of the id of the user to sign in as.
    pub subject: Option<String>,
    /// A prefix of the principal's id.
    pub principal: Option<String>,
    /// A part of the reason, in upper or lower case.
    pub text: Option<String>,
    /// The operation: `create` or `revoke`.
    pub operation: Option<String>,
    /// The word of the end, such as `returned`, or `open`.
    pub end: Option<String>,
    /// The earliest begin, in milliseconds since 1970.
    pub since: Option<u64>,
    /// The time before which calls began, in milliseconds since 1970.
    pub until: Option<u64>,
    /// The page that follows: [`next`](Page::next) of the one before.
    pub before: Option<String>,
    /// How many calls a page has. The default, and the largest value, is 200.
    pub limit: Option<u32>,
}

/// A page of rows, the newest first.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The value of [`before`](CallFilter::before) for the next page, if there is one.
    pub next: Option<String>,
}

/// A call. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallRow {
    /// The call.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub call: CallId,
    /// When it began.
    pub began_at: u64,
    /// When it was about to be sent. Without this time nothing was sent.
    pub sending_at: Option<u64>,
    /// When it ended; `None` while it is open.
    pub ended_at: Option<u64>,
    /// The operation: `create` or `revoke`.
    pub operation: String,
    /// The principal who asked.
    pub principal: Option<String>,
    /// How the principal was authenticated.
    pub via: Option<String>,
    /// The actor's `sub`.
    pub actor: Option<String>,
    /// The user to sign in as.
    pub subject: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The version of the policy.
    pub policy: Option<String>,
    /// The word of the end, such as `returned`.
    pub end: Option<String>,
    /// Whether it took effect, such as `not_sent`.
    pub outcome: Option<String>,
    /// The error code.
    pub code: Option<String>,
    /// The rule or limit that refused it.
    pub rule: Option<String>,
    /// The status of the last response, or of the refusal.
    pub status: Option<u16>,
    /// The token that was minted, as far as any entry of the call names it, or was to be revoked.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub actor_token_id: Option<ActorTokenId>,
}

/// A call with its entries.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallDetail {
    /// The call.
    #[serde(flatten)]
    pub row: CallRow,
    /// Its entries, in order.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub entries: Vec<Entry>,
}

/// A call that has begun and has no end.
#[derive(Clone, Debug)]
pub struct OpenCall {
    /// The call.
    pub call: CallId,
    /// Its beginning.
    pub begin: Begin,
    /// When it began.
    pub began_at: SystemTime,
    /// When it was about to be sent. Without this time nothing was sent.
    pub sending_at: Option<SystemTime>,
}

impl CallFilter {
    /// The largest number of rows of a page.
    pub const MAX_LIMIT: u32 = 200;

    /// Returns how many rows the page has at most.
    pub fn page_limit(&self) -> u32 {
        self.limit.unwrap_or(Self::MAX_LIMIT).min(Self::MAX_LIMIT)
    }

    /// Returns the pattern of `LIKE` for the text, in which `\` is the escape character.
    pub fn text_pattern(&self) -> Option<String> {
        let escape = |c| {
            let escape = matches!(c, '%' | '_' | '\\').then_some('\\');
            escape.into_iter().chain([c])
        };
        let text = self.text.as_ref()?;
        let text: String = text.chars().flat_map(escape).collect();
        Some(format!("%{text}%"))
    }
}

impl<T> Page<T> {
    /// Creates a page from rows with their cursors, of which one more than `limit` were read.
    pub fn new(mut rows: Vec<(u64, T)>, limit: u32) -> Self {
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| has_more);
        Self {
            next: last.map(|(cursor, _)| cursor.to_string()),
            items: rows.into_iter().map(|(_, row)| row).collect(),
        }
    }
}
