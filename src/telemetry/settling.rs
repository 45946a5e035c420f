//! What is logged and counted of credentials that nobody holds.

use std::time::{SystemTime, UNIX_EPOCH};

use tracing::{Level, Span};

use super::{TARGET, meter};
use crate::ActorTokenId;

/// The span of what goes on after its attempt was given up. It follows from the attempt, which has
/// ended, and is no child of it.
#[allow(dead_code, reason = "for the layer that settles credentials")]
pub(crate) fn settling_span() -> Span {
    let span = tracing::span!(
        target: TARGET,
        parent: None,
        Level::INFO,
        "settle",
        otel.name = "actor_tokens.settle",
        otel.kind = "internal"
    );
    if !span.is_disabled() {
        span.follows_from(Span::current());
    }
    span
}

/// A credential that nobody read was revoked.
#[allow(dead_code, reason = "for the layer that settles credentials")]
pub(crate) fn revoked(id: &ActorTokenId) {
    meter::settled("revoked");
    tracing::event!(
        target: TARGET,
        Level::INFO,
        actor_token.id = id.as_str(),
        "a credential that nobody read was revoked"
    );
}

/// A credential that nobody read had been used before it could be revoked.
#[allow(dead_code, reason = "for the layer that settles credentials")]
pub(crate) fn accepted(id: &ActorTokenId) {
    meter::settled("accepted");
    meter::orphan_possible();
    tracing::event!(
        target: TARGET,
        Level::ERROR,
        actor_token.id = id.as_str(),
        "a credential that nobody read had been used: a session is live"
    );
}

/// The answer to a create spoke of a credential of another user, which is left alone.
#[allow(dead_code, reason = "for the layer that settles credentials")]
pub(crate) fn foreign(id: Option<&ActorTokenId>, exposed_until: Option<SystemTime>) {
    meter::settled("foreign");
    meter::orphan_possible();
    tracing::event!(
        target: TARGET,
        Level::ERROR,
        actor_token.id = id.map(ActorTokenId::as_str),
        exposed_until = exposed_until.map(unix_seconds),
        "a create was answered with a credential of another user"
    );
}

/// A credential that nobody holds could not be revoked: it lives until `exposed_until`.
#[allow(dead_code, reason = "for the layer that settles credentials")]
pub(crate) fn not_revoked(id: &ActorTokenId, exposed_until: Option<SystemTime>) {
    meter::settled("not_revoked");
    meter::orphan_possible();
    tracing::event!(
        target: TARGET,
        Level::ERROR,
        actor_token.id = id.as_str(),
        exposed_until = exposed_until.map(unix_seconds),
        "a credential that nobody holds could not be revoked"
    );
}

/// Whether a credential was minted cannot be known: the answer was lost. It could live until
/// `exposed_until`.
#[allow(dead_code, reason = "for the layer that settles credentials")]
pub(crate) fn unknown(id: Option<&ActorTokenId>, exposed_until: Option<SystemTime>) {
    meter::settled("unknown");
    meter::orphan_possible();
    tracing::event!(
        target: TARGET,
        Level::ERROR,
        actor_token.id = id.map(ActorTokenId::as_str),
        exposed_until = exposed_until.map(unix_seconds),
        "a credential may have been minted that nobody holds"
    );
}

/// Seconds since 1970.
fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
#[path = "../../tests/support/capture.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod capture;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{capture::Capture, *};

    #[test]
    fn a_lost_credential_is_an_error_and_a_settled_one_is_none() {
        let (capture, _guard) = Capture::begin();
        let id = "act_1".parse().unwrap();
        let until = Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        revoked(&id);
        not_revoked(&id, until);
        unknown(None, until);
        accepted(&id);
        foreign(Some(&id), until);

        let told = capture.events().into_iter().map(|event| {
            let field = |name| event.field(name).to_owned();
            (event.level, field("actor_token.id"), field("exposed_until"))
        });
        let (id, until) = ("act_1".to_owned(), "1700000000".to_owned());
        let none = String::new;
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                (Level::INFO, id.clone(), none()),
                (Level::ERROR, id.clone(), until.clone()),
                (Level::ERROR, none(), until.clone()),
                (Level::ERROR, id.clone(), none()),
                (Level::ERROR, id, until),
            ]
        );
    }

    #[test]
    fn what_goes_on_after_its_attempt_is_no_child_of_it() {
        let (capture, _guard) = Capture::begin();
        tracing::info_span!("attempt").in_scope(|| drop(settling_span()));
        let settle = &capture.named("settle")[0];
        assert_eq!((settle.parent, settle.closed), (None, true));
    }
}
