//! [`EndImpersonationError`], why impersonations were not ended.

use super::session::Session;
use crate::Error;

/// Why impersonations were not ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndImpersonationError {
    /// No session was ended: they could not be listed, or the token of a [`Lease`](crate::Lease) could
    /// not be revoked.
    #[error(transparent)]
    NothingEnded(#[from] Error),
    /// Some sessions may still be live.
    #[error("{}", not_all_ended(ended, failed))]
    NotAllEnded {
        /// The sessions that have ended.
        ended: Vec<Session>,
        /// The sessions that may still be live. The [outcome](Error::outcome) of each error says whether
        /// the session may have ended.
        failed: Vec<(Session, Error)>,
    },
}

fn not_all_ended(ended: &[Session], failed: &[(Session, Error)]) -> String {
    let (count, all) = (failed.len(), failed.len() + ended.len());
    let failures = failed
        .iter()
        .map(|(session, error)| format!("{}: {error}", session.id()));
    let failures = failures.collect::<Vec<_>>().join("; ");
    format!("{count} of {all} sessions may still be live: {failures}")
}
