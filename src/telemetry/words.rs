//! The words for operations and outcomes, each of few values.

use crate::{Intent, Outcome};

/// Both operations are POSTs.
pub(crate) const METHOD: &str = "POST";

/// The outcome of what succeeded.
pub(crate) const OK: &str = "ok";

pub(crate) fn operation(intent: Intent) -> &'static str {
    match intent {
        Intent::Create => "create",
        Intent::Revoke => "revoke",
    }
}

/// The path of an operation under the base URL, without its id.
pub(crate) fn url_template(intent: Intent) -> &'static str {
    match intent {
        Intent::Create => "/actor_tokens",
        Intent::Revoke => "/actor_tokens/{actor_token_id}/revoke",
    }
}

/// What an attempt is called: method and template, as OpenTelemetry names HTTP client spans.
pub(crate) fn attempt_name(intent: Intent) -> &'static str {
    match intent {
        Intent::Create => "POST /actor_tokens",
        Intent::Revoke => "POST /actor_tokens/{actor_token_id}/revoke",
    }
}

/// What a call is called, other than any of its attempts.
pub(crate) fn call_name(intent: Intent) -> &'static str {
    match intent {
        Intent::Create => "actor_tokens.create",
        Intent::Revoke => "actor_tokens.revoke",
    }
}

pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotSent => "not_sent",
        Outcome::Rejected => "rejected",
        Outcome::Unknown => "unknown",
        Outcome::Applied => "applied",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_method_and_template() {
        for intent in [Intent::Create, Intent::Revoke] {
            let name = format!("{METHOD} {}", url_template(intent));
            assert_eq!(attempt_name(intent), name);
        }
    }
}
