//! What is logged and counted of credentials that nobody holds.

use std::time::{SystemTime, UNIX_EPOCH};

use tracing::{Level, Metadata, Span, field::Empty};

use super::{ErrorType, TARGET, meter};
use crate::{ActorTokenId, Error, settle_end::SettleEnd};

/// The name of the span that something is settled in.
const SETTLE: &str = "settle";

/// The span of what goes on in the background after its attempt was given up, or its ticket dropped.
/// It follows from where that happened, and is no child of it.
pub(crate) fn settling_span() -> Span {
    let span = tracing::span!(
        target: TARGET,
        parent: None,
        Level::INFO,
        SETTLE,
        otel.name = "actor_tokens.settle",
        otel.kind = "internal",
        otel.status_code = Empty,
        actor_token.id = Empty,
        clerk.settle.end = Empty
    );
    if !span.is_disabled() {
        span.follows_from(Span::current());
    }
    span
}

/// How a credential ended that its caller did not get; in the span that it is settled in, too, if
/// that is the current one.
pub(crate) fn settled(
    end: SettleEnd,
    id: Option<&ActorTokenId>,
    exposed_until: Option<SystemTime>,
    error: Option<&Error>,
) {
    meter::settled(end);
    let id = id.map(ActorTokenId::as_str);
    let span = Span::current();
    // That of a call or an attempt tells of itself how it ended, and that of a user is not ours.
    let is_ours = |it: &Metadata<'_>| it.target() == TARGET && it.name() == SETTLE;
    if span.metadata().is_some_and(is_ours) {
        span.record("actor_token.id", id);
        span.record("clerk.settle.end", end.as_str());
        if !end.is_safe() {
            span.record("otel.status_code", "ERROR");
        }
    }
    macro_rules! event {
        ($level:ident, $message:literal) => {
            tracing::event!(
                target: TARGET,
                Level::$level,
                actor_token.id = id,
                clerk.settle.end = end.as_str(),
                exposed_until = exposed_until.map(unix_seconds),
                "error.type" = error.map(|error| ErrorType::of(Some(error))).as_ref().map(ErrorType::as_str),
                $message
            )
        };
    }
    match end {
        SettleEnd::Revoked => event!(INFO, "a credential that nobody holds was revoked"),
        SettleEnd::Accepted => event!(
            ERROR,
            "a credential that nobody holds had been used: a session is live"
        ),
        SettleEnd::NotRevoked => {
            event!(ERROR, "a credential that nobody holds could not be revoked");
        }
        SettleEnd::Unknown => event!(ERROR, "a credential may have been minted that nobody holds"),
        SettleEnd::Foreign => event!(
            ERROR,
            "a create was answered with a credential of another user"
        ),
    }
}

/// Seconds since 1970.
fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
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
        use SettleEnd::{Accepted, Foreign, NotRevoked, Revoked, Unknown};

        let (capture, _guard) = Capture::begin();
        let id = "act_1".parse().unwrap();
        let until = Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        settled(Revoked, Some(&id), None, None);
        settled(NotRevoked, Some(&id), until, None);
        settled(Unknown, None, until, None);
        settled(Accepted, Some(&id), None, None);
        settled(Foreign, Some(&id), until, None);

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
