//! What is asked, what is answered, and a hedge.

use std::time::Duration;

use clerk_actor_tokens::{Actor, ActorTokenRequest, Body, CreateActorToken, OperationKind};
use http::Request;
use tower::{Service, hedge::Hedge};

use crate::support::peer::{CallNumber, Content, Effect, End, Exchange, Head, Pause, USER};

/// A 200 that is pending twice at each of its steps.
pub(crate) fn slow(effect: Effect) -> Exchange {
    Exchange {
        before_taking: Pause::polls(2),
        before_head: Pause::polls(2),
        frames: 3,
        before_frame: Pause::polls(2),
        effect,
        ..Exchange::prompt()
    }
}

/// What the peer answers, and what that is called.
pub(crate) fn answers() -> Vec<(&'static str, Vec<Exchange>)> {
    let early = || slow(Effect::WhenTaken);
    let turned_away = Exchange {
        head: Head::Status(429, None),
        content: Content::Garbage,
        effect: Effect::Never,
        ..early()
    };
    let broken_off = Exchange {
        length: 600,
        end: End::Fail,
        ..early()
    };
    let failed = Exchange {
        head: Head::Status(503, None),
        content: Content::Garbage,
        ..early()
    };
    let reset = Exchange {
        head: Head::Fail,
        ..early()
    };
    vec![
        ("minted when it was taken", vec![early()]),
        ("minted with the head", vec![slow(Effect::WithHead)]),
        ("minted with the body", vec![slow(Effect::WithBody)]),
        (
            "turned away first",
            vec![turned_away, slow(Effect::WithHead)],
        ),
        ("broken off", vec![broken_off]),
        ("failed and yet minted", vec![failed]),
        ("reset and yet minted", vec![reset]),
    ]
}

pub(crate) fn create() -> ActorTokenRequest {
    let create = CreateActorToken::new(USER, Actor::new("user_admin"));
    numbered(ActorTokenRequest::create(create), 0)
}

/// A create as it leaves the JSON layer.
pub(crate) fn attempt() -> Request<Body> {
    let json = format!(r#"{{"user_id":"{USER}","actor":{{"sub":"user_admin"}}}}"#);
    Request::post("/actor_tokens")
        .extension(CallNumber(0))
        .body(Body::new(OperationKind::Create, json))
        .unwrap()
}

pub(crate) fn revoke() -> ActorTokenRequest {
    numbered(ActorTokenRequest::revoke("act_9".parse().unwrap()), 0)
}

/// Every call of a scene has number zero, unless the number matters.
pub(crate) fn numbered(mut request: ActorTokenRequest, number: usize) -> ActorTokenRequest {
    request.extensions_mut().insert(CallNumber(number));
    request
}

/// Sends everything twice that takes longer than most did.
#[derive(Clone)]
pub(crate) struct Twice;

impl<R: Clone> tower::hedge::Policy<R> for Twice {
    fn clone_request(&self, request: &R) -> Option<R> {
        Some(request.clone())
    }

    fn can_retry(&self, _: &R) -> bool {
        true
    }
}

pub(crate) fn hedged<S, R>(service: S) -> Hedge<S, Twice>
where
    S: Service<R> + Clone,
    S::Error: Into<tower::BoxError>,
    R: Clone,
{
    let (least, percentile, period) = (5, 0.5, Duration::from_secs(60));
    Hedge::new_with_mock_latencies::<R>(service, Twice, least, percentile, period, &[400; 10])
}
