//! A transport that answers from a script and keeps what it was sent.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use clerk_actor_tokens::Body;
use http::{Request, Response};
use http_body_util::Full;
use tower::Service;

/// Panics when it is sent more than the script has answers for.
#[derive(Clone)]
pub(crate) struct Scripted(Arc<Mutex<Script>>);

struct Script {
    answers: VecDeque<Response<Full<Bytes>>>,
    sent: Vec<Request<Bytes>>,
}

impl Scripted {
    pub(crate) fn new(answers: impl IntoIterator<Item = Response<Full<Bytes>>>) -> Self {
        Self(Arc::new(Mutex::new(Script {
            answers: answers.into_iter().collect(),
            sent: Vec::new(),
        })))
    }

    /// The requests that were sent, in order.
    pub(crate) fn sent(&self) -> Vec<Request<Bytes>> {
        self.0.lock().unwrap().sent.clone()
    }
}

impl Service<Request<Body>> for Scripted {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut script = self.0.lock().unwrap();
        let sent = request.map(|body| body.into_bytes().expect("the attempt was given up"));
        script.sent.push(sent);
        let answer = script.answers.pop_front();
        ready(Ok(answer.expect("more was sent than expected")))
    }
}
