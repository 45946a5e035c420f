//! What follows from an audit: calls, leases, settings, and a hash chain. For stores over any engine.
//!
//! The entries of an audit are the source. An engine (SQLite, PostgreSQL, ...) stores each of them as a record in a
//! hash chain ([`Link`], [`Anchor`]), and derives from them what pages read:
//!
//! | derived | from |
//! |---|---|
//! | [`CallRow`] | [`BeginColumns`], [`EndColumns`] |
//! | [`Lease`] | [`LeaseFacts`], or one entry after another [`LeaseChange`] |
//! | [`Settings`] | [`setting_of`] |
//!
//! [`Verifier`] shows whether records were altered. [`interrupted`] is the end of a call whose process was killed.
//! [`Leases`] ends tokens and watches those of an unknown id, over any [`LeaseStore`].

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::print_stderr, clippy::dbg_macro)]

mod calls;
mod chain;
mod columns;
mod facts;
mod lease;
mod leases;
mod recovery;
mod settings;
mod time;
mod verify;
mod watch;

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Note, SinkUnavailable},
};

pub use self::{
    calls::{CallDetail, CallFilter, CallRow, OpenCall, Page},
    chain::{Anchor, Anchors, Link},
    columns::{BeginColumns, EndColumns, LATE, event_word},
    facts::{LeaseChange, LeaseFacts},
    lease::{Lease, LeaseFilter, LeaseState},
    leases::{Ended, LeaseEnd, Leases},
    recovery::{LeftOver, interrupted},
    settings::{
        Flag, PAUSED, POLICY_LOADED, QUOTA_CLOSED, QUOTA_REOPENED, RESUMED, Settings, setting_of,
    },
    time::{millis, time},
    verify::{Record, Tampered, Verified, Verifier, VerifyError},
};

/// Compiles the code blocks of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// A store of leases, as [`Leases`] needs it.
pub trait LeaseStore: Clone + Send + Sync + 'static {
    /// Why the store cannot be read.
    type Error: Into<BoxError> + Send + 'static;

    /// Returns leases, the newest first.
    fn leases(
        &self,
        filter: LeaseFilter,
    ) -> impl Future<Output = Result<Vec<Lease>, Self::Error>> + Send;

    /// Records a fact that belongs to no call.
    fn note(&self, note: Note) -> impl Future<Output = Result<(), SinkUnavailable>> + Send;
}

/// Returns the id of a call that was written as text.
///
/// # Errors
///
/// When the text is no id.
pub fn call_id(text: &str) -> Result<CallId, serde_json::Error> {
    serde_json::from_value(text.into())
}
