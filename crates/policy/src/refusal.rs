//! The errors of calls that a layer refuses. A file of its own, because three layers use it.

use std::time::Duration;

use clerk_actor_tokens::{ClerkError, ClerkErrors, Error};
use http::StatusCode;

/// Returns the error of a call that a rule refuses.
pub(crate) fn refusal(
    status: StatusCode,
    code: &str,
    rule: &'static str,
    sentence: impl Into<String>,
) -> Error {
    let message = format!("refused by the rule {rule}");
    let sentence = format!("{} (rule {rule})", sentence.into());
    let entry = ClerkError::new(code, message, sentence).with_meta("rule", rule);
    Error::refused(status, ClerkErrors::new(entry))
}

/// Rounds up, so that no caller tries again too early.
pub(crate) fn whole_seconds(time: Duration) -> Duration {
    let seconds = time.as_secs();
    Duration::from_secs(seconds.saturating_add((time.subsec_nanos() > 0).into()))
}
