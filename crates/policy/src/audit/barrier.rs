//! [`AuditBarrierLayer`], the barrier that a call passes when it is about to be sent.

use std::task::{Context, Poll};

use clerk_actor_tokens::{ActorTokenRequest, Error};
use tower_layer::Layer;
use tower_service::Service;

use super::{SinkUnavailable, call::unavailable};
use crate::context::CallContext;
pub use crate::future::ResponseFuture as BarrierFuture;

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
    S: Service<ActorTokenRequest, Error: From<Error>, Future: Send> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BarrierFuture<S::Future, S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> Self::Future {
        // Taken, because the layers below clone the extensions.
        let context: Option<&mut CallContext> = request.extensions_mut().get_mut();
        let barrier = context.and_then(|context| context.barrier.take());
        let pass = async move {
            match barrier {
                Some(call) => call.sending().await?,
                None => return Err(without_audit().into()),
            }
            Ok(request)
        };
        BarrierFuture::decided(&mut self.inner, pass, S::call)
    }
}

fn without_audit() -> Error {
    let error = "no AuditLayer stands above the AuditBarrierLayer";
    unavailable(SinkUnavailable::new(error))
}
