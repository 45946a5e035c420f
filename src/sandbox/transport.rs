//! The sandbox behind the wire protocol.

use std::{
    future::ready,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::{task::yield_now, time::sleep};
use tower_service::Service;

use super::{Fault, Sandbox, accept, fault::disconnected};
use crate::{
    BoxError,
    server::{ActorTokensApi, ResponseBody, body},
};

/// The sandbox behind the wire protocol: a transport for a
/// [`ClientBuilder`](crate::ClientBuilder::transport) or another HTTP client.
///
/// A lost connection is an [`io::Error`] of the kind `ConnectionReset`.
#[derive(Clone, Debug)]
pub struct SandboxTransport {
    sandbox: Sandbox,
    api: ActorTokensApi<Sandbox>,
}

impl Sandbox {
    /// Returns an in-process transport that checks the key and applies the scripted faults.
    pub fn transport(&self) -> SandboxTransport {
        SandboxTransport {
            sandbox: self.clone(),
            api: ActorTokensApi::unauthenticated(self.clone()).accept_any_key(self.secret_key()),
        }
    }

    /// Counts a request and returns its fault.
    fn begin_request(&self, head: &Parts) -> Option<Fault> {
        let mut state = self.state();
        state.requests += 1;
        if let Some(fault) = state.faults.pop_front() {
            return Some(fault);
        }
        let (number, choose) = (state.requests, state.faults_by.clone()?);
        // `choose` may use the sandbox, and may panic.
        drop(state);
        choose(number, head)
    }
}

impl<B> Service<Request<B>> for SandboxTransport
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<SandboxBody>;
    type Error = io::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let (head, body) = request.into_parts();
        // A browser's request for a link is not counted and has no fault.
        if let Some(response) = accept::response(&self.sandbox, &head) {
            return Box::pin(ready(Ok(response.map(SandboxBody::new))));
        }
        let fault = self.sandbox.begin_request(&head);
        let mut api = self.api.clone();
        #[cfg(feature = "sessions")]
        let sandbox = self.sandbox.clone();
        Box::pin(async move {
            let body = match body::read(body).await {
                Ok(body) => body,
                Err(error) => return Ok(error.to_response().map(SandboxBody::new)),
            };
            let operation = async {
                #[cfg(feature = "sessions")]
                if let Some(response) = super::sessions::response(&sandbox, &api, &head) {
                    return response;
                }
                let Ok(response) = api.call(Request::from_parts(head, Full::new(body))).await;
                response
            };
            match fault {
                Some(fault) => fault.apply(operation).await,
                None => Ok(operation.await.map(SandboxBody::new)),
            }
        })
    }
}

/// The response future of [`SandboxTransport`].
pub type ResponseFuture = Pin<Box<dyn Future<Output = io::Result<Response<SandboxBody>>> + Send>>;

/// The response body of the sandbox. A [`Fault`] may delay or truncate it.
#[derive(Default)]
pub struct SandboxBody {
    first: Bytes,
    /// Polled between `first` and `rest`.
    pause: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
    rest: Bytes,
}

impl SandboxBody {
    pub(super) fn new(mut body: ResponseBody) -> Self {
        Self {
            first: body.take(),
            pause: None,
            rest: Bytes::new(),
        }
    }

    pub(super) fn paused(self, after: usize, time: Duration) -> Self {
        self.split(after, async move {
            sleep(time).await;
            Ok(())
        })
    }

    pub(super) fn truncated(self, len: usize) -> Self {
        if len >= self.first.len() {
            return self;
        }
        self.split(len, async {
            // Lets hyper flush the bytes before the error.
            yield_now().await;
            Err(disconnected())
        })
    }

    fn split(
        mut self,
        at: usize,
        pause: impl Future<Output = io::Result<()>> + Send + Sync + 'static,
    ) -> Self {
        self.rest = self.first.split_off(at.min(self.first.len()));
        self.pause = Some(Box::pin(pause));
        self
    }
}

impl Body for SandboxBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut bytes = mem::take(&mut self.first);
        if let Some(pause) = self.pause.as_mut().filter(|_| bytes.is_empty()) {
            let result = ready!(pause.as_mut().poll(cx));
            self.pause = None;
            bytes = mem::take(&mut self.rest);
            if let Err(error) = result {
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.pause.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.first.len() + self.rest.len()) as u64)
    }
}

crate::text::opaque_debug!(SandboxBody, |it| remaining: it.first.len() + it.rest.len());
