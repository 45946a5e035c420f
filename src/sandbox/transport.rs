//! [`SandboxTransport`], the sandbox behind the wire protocol.

use std::{
    fmt,
    future::{pending, ready},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::{task::yield_now, time::sleep};
use tower_service::Service;

use super::{Fault, Sandbox, accept, fault};
use crate::{
    BoxError,
    server::{ActorTokensApi, body, response},
};

type Api = ActorTokensApi<Sandbox>;

/// The sandbox behind the wire protocol. It is a transport for a
/// [`ClientBuilder`](crate::ClientBuilder::transport), or a service for anything else that sends
/// requests.
///
/// A connection that breaks is an [`io::Error`] of the kind `ConnectionReset`.
#[derive(Clone, Debug)]
pub struct SandboxTransport {
    sandbox: Sandbox,
    api: Api,
}

impl Sandbox {
    /// Returns the sandbox behind the wire protocol, in process. It checks the key and applies the
    /// scripted faults.
    #[must_use]
    pub fn transport(&self) -> SandboxTransport {
        SandboxTransport {
            sandbox: self.clone(),
            api: ActorTokensApi::new(self.clone(), self.secret_key()),
        }
    }

    /// Counts a request and returns its fault.
    fn begin_request(&self, head: &Parts) -> Option<Fault> {
        let (number, choose) = {
            let mut state = self.state();
            state.requests += 1;
            if let Some(fault) = state.faults.pop_front() {
                return Some(fault);
            }
            (state.requests, state.faults_by.clone()?)
        };
        // Called without the lock, so that it may use the sandbox and may panic.
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
        // Links are opened by browsers: these requests are not counted and have no faults.
        if let Some(response) = accept::response(&self.sandbox, &head) {
            return ResponseFuture(Box::pin(ready(Ok(whole(response)))));
        }
        let fault = self.sandbox.begin_request(&head);
        ResponseFuture(Box::pin(exchange(self.api.clone(), fault, head, body)))
    }
}

async fn exchange<B>(
    mut api: Api,
    fault: Option<Fault>,
    head: Parts,
    body: B,
) -> io::Result<Response<SandboxBody>>
where
    B: Body<Error: Into<BoxError>>,
{
    // Every fault shows only after the whole request was received.
    let body = match body::read(body).await {
        Ok(body) => body,
        Err(error) => return Ok(whole(response::of_error(&error))),
    };
    match &fault {
        Some(Fault::DisconnectBefore) => return Err(disconnected()),
        Some(Fault::HangBefore) => return pending().await,
        Some(Fault::Delay(time)) => sleep(*time).await,
        _ => {}
    }
    if let Some(response) = fault.as_ref().and_then(Fault::response) {
        return Ok(whole(response));
    }
    let Ok(response) = api.call(Request::from_parts(head, Full::new(body))).await;
    match fault {
        Some(Fault::DisconnectAfter) => return Err(disconnected()),
        Some(Fault::HangAfter) => return pending().await,
        Some(Fault::DelayAfter(time)) => sleep(time).await,
        _ => {}
    }
    Ok(match fault {
        Some(Fault::StatusAfter(status)) => whole(fault::of_status(status)),
        Some(Fault::Body(body)) => whole(response::json(StatusCode::OK, body)),
        Some(Fault::Truncate(kept)) => response.map(|body| SandboxBody::truncated(body, kept)),
        Some(Fault::Pause { after, time }) => {
            response.map(|body| SandboxBody::paused(body, after, time))
        }
        _ => whole(response),
    })
}

fn whole(response: Response<Full<Bytes>>) -> Response<SandboxBody> {
    response.map(SandboxBody::whole)
}

pub(super) fn disconnected() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// The response future of [`SandboxTransport`].
pub struct ResponseFuture(Pin<Box<dyn Future<Output = io::Result<Response<SandboxBody>>> + Send>>);

impl Future for ResponseFuture {
    type Output = io::Result<Response<SandboxBody>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// The response body of the sandbox. A [`Fault`] may pause it or break it off.
pub struct SandboxBody {
    bytes: Bytes,
    /// What follows `bytes`. It is first polled after they were taken.
    rest: Option<Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send + Sync>>>,
    /// How many bytes are announced and not yet taken.
    remaining: usize,
}

impl SandboxBody {
    fn whole(body: Full<Bytes>) -> Self {
        let bytes = body.into_inner().unwrap_or_default();
        Self {
            remaining: bytes.len(),
            bytes,
            rest: None,
        }
    }

    /// Pauses after this many bytes.
    fn paused(body: Full<Bytes>, after: usize, time: Duration) -> Self {
        let mut body = Self::whole(body);
        let later = body.bytes.split_off(after.min(body.remaining));
        body.rest = Some(Box::pin(async move {
            sleep(time).await;
            Ok(later)
        }));
        body
    }

    /// Breaks off after this many bytes, although all are announced.
    fn truncated(body: Full<Bytes>, kept: usize) -> Self {
        let mut body = Self::whole(body);
        if kept < body.remaining {
            body.bytes.truncate(kept);
            body.rest = Some(Box::pin(async {
                // Lets hyper flush the bytes before it sees the error.
                yield_now().await;
                Err(disconnected())
            }));
        }
        body
    }
}

impl Body for SandboxBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.bytes.is_empty() {
            let Some(rest) = &mut self.rest else {
                return Poll::Ready(None);
            };
            let rest = ready!(rest.as_mut().poll(cx));
            self.rest = None;
            match rest {
                Ok(bytes) => self.bytes = bytes,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        let bytes = std::mem::take(&mut self.bytes);
        self.remaining -= bytes.len();
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining as u64)
    }
}

impl fmt::Debug for SandboxBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxBody")
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}
