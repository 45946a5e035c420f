//! The words for operations and outcomes, each of few values.

use crate::{OperationKind, Outcome};

/// Both operations are POSTs.
pub(crate) const METHOD: &str = "POST";

/// The outcome of what succeeded.
pub(crate) const OK: &str = "ok";

pub(crate) fn operation(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "create",
        OperationKind::Revoke => "revoke",
    }
}

/// The path of an operation under the base URL, without its id.
pub(crate) fn url_template(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "/actor_tokens",
        OperationKind::Revoke => "/actor_tokens/{actor_token_id}/revoke",
    }
}

/// What an attempt is called: method and template, as OpenTelemetry names HTTP client spans.
pub(crate) fn attempt_name(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "POST /actor_tokens",
        OperationKind::Revoke => "POST /actor_tokens/{actor_token_id}/revoke",
    }
}

/// What a call is called, other than any of its attempts.
pub(crate) fn call_name(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "actor_tokens.create",
        OperationKind::Revoke => "actor_tokens.revoke",
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
        for kind in [OperationKind::Create, OperationKind::Revoke] {
            let name = format!("{METHOD} {}", url_template(kind));
            assert_eq!(attempt_name(kind), name);
        }
    }
}
