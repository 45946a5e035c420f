//! A peer in memory that responds by a script and records requests and effects in a ledger.
//!
//! A taken request has its effect even if the client disconnects before the response, as on a real network.

#![allow(dead_code, reason = "no test binary needs all of it")]

mod body;
mod ledger;
mod plan;

use std::{
    future::{Future, pending},
    panic,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, CreateActorToken, OperationKind,
};
use http::{Request, Response};
use tower::Service;

use self::ledger::Entry;
pub(crate) use self::{
    body::PeerBody,
    ledger::Ledger,
    plan::{Content, Delay, Effect, End, Exchange, Head},
};

/// A part of every secret in a response.
pub(crate) const MARKER: &str = "SECRET";

/// The suffix of an id in a response about another user.
pub(crate) const FOREIGN: &str = "_foreign";

/// The user of the tokens.
pub(crate) const USER: &str = "user_subject";

/// The number of a call within its test, as a request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallNumber(pub(crate) usize);

/// A request for which the script returns a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) call: usize,
    pub(crate) kind: OperationKind,
    /// The number of earlier requests of the same call and kind.
    pub(crate) earlier: usize,
}

type Script = dyn Fn(ReceivedRequest) -> Exchange + Send + Sync;

#[derive(Clone)]
pub(crate) struct Peer {
    ledger: Arc<Mutex<Ledger>>,
    script: Arc<Script>,
}

impl Peer {
    pub(crate) fn new(
        script: impl Fn(ReceivedRequest) -> Exchange + Send + Sync + 'static,
    ) -> Self {
        Self {
            ledger: Arc::default(),
            script: Arc::new(script),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }
}

/// Numbers a request as the only call of a test.
pub(crate) fn numbered(mut request: ActorTokenRequest) -> ActorTokenRequest {
    request.extensions_mut().insert(CallNumber(0));
    request
}

/// Returns a create that is the only call of a test.
pub(crate) fn create() -> ActorTokenRequest {
    numbered(CreateActorToken::new(USER, Actor::new("user_admin")).into())
}

impl Service<Request<Body>> for Peer {
    type Response = Response<PeerBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let CallNumber(call) = *request.extensions().get().expect("a call has a number");
        let (received, entry) = match request.body().kind() {
            OperationKind::Create => Entry::of_create(&self.ledger, call),
            _ => Entry::of_revoke(&self.ledger, call, request.uri().path()),
        };
        let plan = (self.script)(received);
        entry.plan(&plan);
        Box::pin(respond(plan, entry, request.into_body()))
    }
}

async fn respond(
    plan: Exchange,
    mut entry: Entry,
    body: Body,
) -> Result<Response<PeerBody>, BoxError> {
    plan.before_taking.wait().await;
    body.into_bytes()?;
    entry.take(plan.effect);
    plan.before_head.wait().await;
    let (status, retry_after) = match plan.head {
        Head::Status(status, retry_after) => (status, retry_after),
        Head::Fail => {
            entry.end();
            return Err("the connection was lost".into());
        }
        Head::Hang => pending().await,
        Head::Panic => {
            entry.end();
            panic::resume_unwind(Box::new("the transport"))
        }
    };
    entry.head(status);
    let mut response = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    Ok(response.body(PeerBody::new(plan, entry))?)
}
