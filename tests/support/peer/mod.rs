//! A peer in memory that keeps a ledger and answers by a script, at the worst moments.
//!
//! It finishes what it has begun: a request that it took has its effect even when the client hangs
//! up before the answer, as on a real network.

#![allow(dead_code, reason = "each test plays a part of what a peer can do")]

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

use clerk_actor_tokens::{Body, BoxError, OperationKind};
use http::{Request, Response};
use tower::Service;

use self::ledger::Entry;
pub(crate) use self::{
    body::PeerBody,
    ledger::Ledger,
    plan::{Content, Effect, End, Exchange, Head, Pause},
};

/// What stands in every secret that the peer hands out.
pub(crate) const MARKER: &str = "SECRET";

/// What the id of a token of another user ends with, that is told in place of one's own.
pub(crate) const FOREIGN: &str = "_foreign";

/// The user that tokens are asked for.
pub(crate) const USER: &str = "user_subject";

/// In the extensions of a request: which call of the test it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallNumber(pub(crate) usize);

/// What the script is asked: the how manieth create or revoke of a call this is, counted from zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) call: usize,
    pub(crate) kind: OperationKind,
    pub(crate) before: usize,
}

type Script = dyn Fn(Asked) -> Exchange + Send + Sync;

#[derive(Clone)]
pub(crate) struct Peer {
    ledger: Arc<Mutex<Ledger>>,
    script: Arc<Script>,
}

impl Peer {
    pub(crate) fn new(script: impl Fn(Asked) -> Exchange + Send + Sync + 'static) -> Self {
        Self {
            ledger: Arc::default(),
            script: Arc::new(script),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }
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
        let (asked, entry) = match request.body().kind() {
            OperationKind::Create => Entry::of_create(&self.ledger, call),
            _ => Entry::of_revoke(&self.ledger, call, request.uri().path()),
        };
        let plan = (self.script)(asked);
        entry.plan(&plan);
        Box::pin(answer(plan, entry, request.into_body()))
    }
}

async fn answer(
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
            return Err("the connection broke".into());
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
