//! Requests, responses and keys whose secrets contain the marker.

#![allow(dead_code, reason = "no test binary needs all of it")]

use std::{
    fmt::Debug,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, CreateActorToken, OperationKind, Payload, SecretKey,
    TokenResponse,
};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use tower::Service;

use super::{answer::answer, search::form_in};

pub(crate) const MINTED: &str = r#"{"id":"act_1","user_id":"user_MARKER","actor":{"sub":"MARKER"},"status":"pending","token":"MARKER","url":"https://x/?ticket=MARKER"}"#;

pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");

pub(crate) type Answer = Response<Full<Bytes>>;

#[track_caller]
pub(crate) fn assert_hidden(shown: &str) {
    assert_eq!(form_in(shown), None, "{shown}");
}

#[track_caller]
pub(crate) fn hidden(value: &impl Debug) {
    assert_hidden(&format!("{value:?} {value:#?}"));
}

pub(crate) fn key() -> SecretKey {
    SecretKey::new("sk_test_MARKER").unwrap()
}

/// Returns a create with a secret header of its caller, which is marked sensitive.
pub(crate) fn create() -> ActorTokenRequest {
    let actor = Actor::new("MARKER").claim("reason", "MARKER");
    let create = CreateActorToken::new("user_MARKER", actor).expires_in(Duration::from_secs(60));
    let mut signature = HeaderValue::from_static("MARKER");
    signature.set_sensitive(true);
    ActorTokenRequest::create(create).header(SIGNATURE, signature)
}

pub(crate) fn minted() -> Answer {
    answer(200, &[("set-cookie", "MARKER")], MINTED)
}

/// Returns a create as it leaves Json.
pub(crate) fn encoded() -> Request<Payload> {
    let payload = Payload::new(OperationKind::Create, r#"{"user_id":"MARKER"}"#);
    let request = Request::post("https://api.clerk.com/v1/actor_tokens");
    request.body(payload).unwrap()
}

/// Returns a create as it leaves DecodeError.
pub(crate) fn attempt() -> Request<Body> {
    encoded().map(Payload::begin_attempt)
}

type ReadyResponse<B> = Ready<Result<Response<B>, BoxError>>;

/// A transport whose futures show everything.
#[derive(Clone, Debug)]
pub(crate) struct Telltale;

impl Service<Request<Body>> for Telltale {
    type Response = Answer;
    type Error = BoxError;
    type Future = ReadyResponse<Full<Bytes>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let _taken = request.into_body().into_bytes();
        ready(Ok(minted()))
    }
}

/// A service of the attempt level whose futures show everything that their type lets them. It holds
/// how its response body is made.
#[derive(Debug)]
pub(crate) struct TelltaleAttempts<B>(fn(&'static str) -> B);

impl<B> Clone for TelltaleAttempts<B> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

/// Returns a service that stands in for CollectBody.
pub(crate) fn collected() -> TelltaleAttempts<Bytes> {
    TelltaleAttempts(Bytes::from)
}

/// Returns a service that stands in for Settle, or for DecodeError.
pub(crate) fn settled() -> TelltaleAttempts<TokenResponse> {
    TelltaleAttempts(TokenResponse::new)
}

impl<R, B> Service<Request<R>> for TelltaleAttempts<B> {
    type Response = Response<B>;
    type Error = BoxError;
    type Future = ReadyResponse<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<R>) -> Self::Future {
        ready(Ok(minted().map(|_| (self.0)(MINTED))))
    }
}
