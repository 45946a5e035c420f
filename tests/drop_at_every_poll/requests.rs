//! Requests and responses.

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, CreateActorToken, OperationKind, Payload,
};
use http::Request;

use crate::support::peer::{CallNumber, Content, Delay, Effect, End, Exchange, Head, USER};

/// Returns a 200 that is pending twice at every step.
pub(crate) fn slow(effect: Effect) -> Exchange {
    Exchange {
        before_taking: Delay::polls(2),
        before_head: Delay::polls(2),
        frames: 3,
        before_frame: Delay::polls(2),
        effect,
        ..Exchange::prompt()
    }
}

/// Returns the peer's responses to the creates of a call, with a name.
pub(crate) fn responses() -> Vec<(&'static str, Vec<Exchange>)> {
    let early = || slow(Effect::WhenTaken);
    let rejected = Exchange {
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
        ("minted once the body was taken", vec![early()]),
        ("minted with the head", vec![slow(Effect::WithHead)]),
        ("minted with the body", vec![slow(Effect::WithBody)]),
        ("rejected first", vec![rejected, slow(Effect::WithHead)]),
        ("broken off", vec![broken_off]),
        ("minted before a 503", vec![failed]),
        ("minted before a reset", vec![reset]),
    ]
}

pub(crate) fn create() -> ActorTokenRequest {
    let create = CreateActorToken::new(USER, Actor::new("user_admin"));
    numbered(ActorTokenRequest::create(create), 0)
}

/// Returns a create as it leaves the JSON layer.
pub(crate) fn encoded_create() -> Request<Payload> {
    let json = format!(r#"{{"user_id":"{USER}","actor":{{"sub":"user_admin"}}}}"#);
    Request::post("/actor_tokens")
        .extension(CallNumber(0))
        .body(Payload::new(OperationKind::Create, json))
        .unwrap()
}

/// Returns a create as it leaves DecodeError.
pub(crate) fn attempt() -> Request<Body> {
    encoded_create().map(Payload::begin_attempt)
}

pub(crate) fn revoke() -> ActorTokenRequest {
    numbered(ActorTokenRequest::revoke("act_9".parse().unwrap()), 0)
}

/// Adds the number of a call, which is zero in tests of one call.
pub(crate) fn numbered(mut request: ActorTokenRequest, number: usize) -> ActorTokenRequest {
    request.extensions_mut().insert(CallNumber(number));
    request
}
