//! What a span tells of how its call or attempt ended. A field that the span was not made with is
//! left out.

use tracing::Span;

use crate::{
    ActorToken, ActorTokenId, Error, OperationKind, Outcome,
    telemetry::{ErrorType, OK, outcome},
};

pub(crate) fn token(span: &Span, kind: OperationKind, token: &ActorToken) {
    actor_token_id(span, kind, token.id());
    span.record("clerk.outcome", OK);
}

/// The span of a revoke was made with the id, and an attribute that is told twice is exported twice.
fn actor_token_id(span: &Span, kind: OperationKind, id: &ActorTokenId) {
    if kind == OperationKind::Create {
        span.record("actor_token.id", id.as_str());
    }
}

pub(crate) fn failure(span: &Span, kind: OperationKind, error: Option<&Error>) {
    error_type(span, ErrorType::of(error));
    let Some(error) = error else {
        return;
    };
    span.record("clerk.outcome", outcome(error.outcome()));
    span.record(
        "http.response.status_code",
        error.status().map(|status| i64::from(status.as_u16())),
    );
    span.record("clerk.error.code", error.code());
    span.record("clerk.trace_id", error.trace_id());
    // A create that failed has the id of a token only when one was minted all the same.
    if let Some(id) = error.actor_token_id() {
        actor_token_id(span, kind, id);
    }
}

/// It was dropped before it ended.
pub(crate) fn interruption(span: &Span, why: ErrorType, known: Option<Outcome>) {
    error_type(span, why);
    span.record("clerk.outcome", known.map(outcome));
}

pub(crate) fn error_type(span: &Span, error_type: ErrorType) {
    span.record("error.type", error_type.as_str());
    span.record("otel.status_code", "ERROR");
}
