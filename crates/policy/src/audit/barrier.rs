//! [`AuditBarrierLayer`], the barrier that a call passes when it is about to be sent.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use clerk_actor_tokens::{ActorToken, ActorTokenRequest, BoxError, Error};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    SinkUnavailable,
    call::{Mark, unavailable},
};

/// Layer of [`AuditBarrier`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditBarrierLayer(());

impl AuditBarrierLayer {
    /// Creates the layer. It has no configuration: the sink and the limit are those of the
    /// [`AuditLayer`](super::AuditLayer) above.
    pub fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for AuditBarrierLayer {
    type Service = AuditBarrier<S>;

    fn layer(&self, inner: S) -> AuditBarrier<S> {
        AuditBarrier { inner }
    }
}

/// Writes that a call is about to be sent, durably and once a call.
///
/// After a process was killed, a call without this mark provably was not sent.
///
/// # Position
///
/// A call layer, below those that may refuse a call: [`AuditLayer`](super::AuditLayer) is an observer
/// layer above. A clone of the request that arrives later passes without another mark, and waits for one
/// that is being written.
///
/// # Example
///
/// ```
/// use clerk_actor_tokens::{ClientBuilder, sandbox::Sandbox};
/// use clerk_actor_tokens_policy::audit::{AuditBarrierLayer, AuditLayer, MemorySink};
/// use tower::limit::ConcurrencyLimitLayer;
///
/// # fn main() -> Result<(), clerk_actor_tokens::BoxError> {
/// let sandbox = Sandbox::new();
/// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
///     .observe_layer(AuditLayer::new(MemorySink::new()))
///     .call_layer(ConcurrencyLimitLayer::new(16))
///     .call_layer(AuditBarrierLayer::new())
///     .build()?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A refusal with 503 `audit_unavailable` and outcome `NotSent`: for a create that cannot be marked within
/// the limit, and for any call without an [`AuditLayer`](super::AuditLayer) above. A revoke that cannot be
/// marked passes.
///
/// # Cancel safety
///
/// Dropping the future before the mark is durable sends nothing. The mark may be written all the same.
#[derive(Clone, Copy, Debug)]
pub struct AuditBarrier<S> {
    inner: S,
}

impl<S> Service<ActorTokenRequest> for AuditBarrier<S>
where
    S: Service<ActorTokenRequest, Response = ActorToken> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = ActorToken;
    type Error = BoxError;
    type Future = BarrierFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> BarrierFuture<S> {
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        // Removed, because the layers below clone the extensions.
        let sending: Sending = match request.extensions_mut().remove() {
            Some(Mark(call)) => call.sending(),
            None => Box::pin(async {
                let error =
                    SinkUnavailable::new("no AuditLayer stands above the AuditBarrierLayer");
                Err(unavailable(error))
            }),
        };
        BarrierFuture {
            stage: Stage::Sending {
                sending,
                call: Some((inner, request)),
            },
        }
    }
}

type Sending = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

pin_project! {
    /// The future of [`AuditBarrier`].
    pub struct BarrierFuture<S: Service<ActorTokenRequest>> {
        #[pin]
        stage: Stage<S, S::Future>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S, F> {
        Sending {
            sending: Sending,
            call: Option<(S, ActorTokenRequest)>,
        },
        Sent {
            #[pin]
            inner: F,
        },
    }
}

impl<S> Future for BarrierFuture<S>
where
    S: Service<ActorTokenRequest, Response = ActorToken>,
    S::Error: Into<BoxError>,
{
    type Output = Result<ActorToken, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let inner = match stage.as_mut().project() {
                StageProjection::Sent { inner } => return inner.poll(cx).map_err(Into::into),
                StageProjection::Sending { sending, call } => {
                    let sending = ready!(sending.as_mut().poll(cx));
                    // A refusal releases the reserved readiness, such as a concurrency permit.
                    let (mut service, request) = call.take().expect("polled after it was ready");
                    sending?;
                    service.call(request)
                }
            };
            stage.set(Stage::Sent { inner });
        }
    }
}

impl<S: Service<ActorTokenRequest>> fmt::Debug for BarrierFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierFuture").finish_non_exhaustive()
    }
}
