//! A transport that responds from a script and records the requests that it is sent.

#![allow(dead_code, reason = "no test binary needs all of it")]

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use clerk_actor_tokens::Body;
use http::Request;
use tower::Service;

use super::response::FullResponse;

/// Panics when it is sent more requests than the script has responses.
#[derive(Clone)]
pub(crate) struct Scripted(Arc<Mutex<Script>>);

struct Script {
    responses: VecDeque<FullResponse>,
    sent: Vec<Request<Bytes>>,
}

impl Scripted {
    pub(crate) fn new(responses: impl IntoIterator<Item = FullResponse>) -> Self {
        Self(Arc::new(Mutex::new(Script {
            responses: responses.into_iter().collect(),
            sent: Vec::new(),
        })))
    }

    /// The requests that were sent, in order.
    pub(crate) fn sent(&self) -> Vec<Request<Bytes>> {
        self.0.lock().unwrap().sent.clone()
    }
}

impl Service<Request<Body>> for Scripted {
    type Response = FullResponse;
    type Error = Infallible;
    type Future = Ready<Result<FullResponse, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut script = self.0.lock().unwrap();
        let sent = request.map(|body| body.into_bytes().expect("the body was withdrawn"));
        script.sent.push(sent);
        let response = script.responses.pop_front();
        ready(Ok(response.expect("more requests than responses")))
    }
}
