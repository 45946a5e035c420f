//! Requests, responses and keys with the marker in everything that must not show.

#![allow(dead_code, reason = "no test binary needs all of it")]

use std::{
    fmt::Debug,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, CreateActorToken, OperationKind, Payload, SecretKey,
};
use http::{HeaderName, HeaderValue, Request};
use tower::Service;

use super::{
    response::{FullResponse, response},
    search::form_in,
};

pub(crate) const MINTED: &str = r#"{"id":"act_1","user_id":"user_MARKER","actor":{"sub":"MARKER"},"status":"pending","token":"MARKER","url":"https://x/?ticket=MARKER"}"#;

pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");

#[track_caller]
pub(crate) fn assert_text_hidden(shown: &str) {
    assert_eq!(form_in(shown), None, "{shown}");
}

#[track_caller]
pub(crate) fn assert_debug_hidden(value: &impl Debug) {
    assert_text_hidden(&format!("{value:?} {value:#?}"));
}

pub(crate) fn key() -> SecretKey {
    SecretKey::new("sk_test_MARKER").unwrap()
}

/// Returns a create with a secret in a header of the caller, which is marked sensitive.
pub(crate) fn create() -> ActorTokenRequest {
    let actor = Actor::new("MARKER").claim("reason", "MARKER");
    let create = CreateActorToken::new("user_MARKER", actor).expires_in(Duration::from_secs(60));
    let mut signature = HeaderValue::from_static("MARKER");
    signature.set_sensitive(true);
    ActorTokenRequest::create(create).header(SIGNATURE, signature)
}

pub(crate) fn minted() -> FullResponse {
    response(200, &[("set-cookie", "MARKER")], MINTED)
}

/// Returns a request of the attempt level.
pub(crate) fn payload() -> Request<Payload> {
    let body = Payload::new(OperationKind::Create, r#"{"user_id":"MARKER"}"#);
    let request = Request::post("https://api.clerk.com/v1/actor_tokens");
    request.body(body).unwrap()
}

/// Returns a request of the wire level.
pub(crate) fn attempt() -> Request<Body> {
    payload().map(Payload::begin_attempt)
}

pub(crate) type ReadyResponse = Ready<Result<FullResponse, BoxError>>;

/// A transport with futures that show the response in `Debug`.
#[derive(Clone, Debug)]
pub(crate) struct RevealingTransport;

impl Service<Request<Body>> for RevealingTransport {
    type Response = FullResponse;
    type Error = BoxError;
    type Future = ReadyResponse;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ReadyResponse {
        let _sent = request.into_body().into_bytes();
        ready(Ok(minted()))
    }
}
