//! Call layers of a user around the barrier: they refuse, wait, fail or panic.

use std::{
    collections::HashMap,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use clerk_actor_tokens::{ActorToken, ActorTokenRequest, BoxError};
use clerk_actor_tokens_policy::CallId;
use tower::Service;

use crate::{
    program::{Call, LayerDoes},
    world::{Number, refusal},
};

type Response = Pin<Box<dyn Future<Output = Result<ActorToken, BoxError>> + Send>>;

fn planned(request: &ActorTokenRequest, calls: &Mutex<Vec<Call>>) -> LayerDoes {
    let Number(call) = *request.extensions().get().unwrap();
    calls.lock().unwrap()[call].layer
}

/// Above the barrier. It also notes the ids of the calls.
#[derive(Clone)]
pub(crate) struct Above<S> {
    pub(crate) inner: S,
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
    pub(crate) ids: Arc<Mutex<HashMap<usize, CallId>>>,
}

impl<S> Service<ActorTokenRequest> for Above<S>
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error: Into<BoxError>>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = ActorToken;
    type Error = BoxError;
    type Future = Response;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: ActorTokenRequest) -> Response {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let id = CallId::of(request.extensions()).expect("the audit creates it");
        let Number(call) = *request.extensions().get().unwrap();
        self.ids.lock().unwrap().insert(call, id);
        let does = planned(&request, &self.calls);
        if does == LayerDoes::PanicAbove {
            resume_unwind(Box::new("a layer"));
        }
        Box::pin(async move {
            match does {
                LayerDoes::RefuseAbove => return Err(refusal().into()),
                LayerDoes::WaitAbove(time) => tokio::time::sleep(time).await,
                _ => {}
            }
            inner.call(request).await.map_err(Into::into)
        })
    }
}

/// Below the barrier.
#[derive(Clone)]
pub(crate) struct Below<S> {
    pub(crate) inner: S,
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
}

impl<S> Service<ActorTokenRequest> for Below<S>
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error: Into<BoxError>>,
    S::Future: Send + 'static,
{
    type Response = ActorToken;
    type Error = BoxError;
    type Future = Response;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: ActorTokenRequest) -> Response {
        let does = planned(&request, &self.calls);
        let inner = self.inner.call(request);
        Box::pin(async move {
            match does {
                LayerDoes::PanicBelow => resume_unwind(Box::new("a layer")),
                LayerDoes::FailBelow => return Err("a layer".into()),
                _ => {}
            }
            let result = inner.await.map_err(Into::into);
            if does == LayerDoes::PanicAfter {
                drop(result);
                resume_unwind(Box::new("a layer"));
            }
            result
        })
    }
}
