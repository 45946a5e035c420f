//! Records every call: that it begins, that it is about to be sent, and how it ended.
//!
//! | entry | written by | durable before |
//! |---|---|---|
//! | `begin` | [`AuditLayer`] | anything below it happens |
//! | `sending` | [`AuditBarrierLayer`] | anything is sent |
//! | `end` | [`AuditLayer`] | the caller gets the result |
//!
//! **A call that began has exactly one end**, even if it is cancelled or panics. A fact that becomes
//! known later is a [`FollowUp`], such as the revoke of a lost token.
//!
//! # Position
//!
//! [`AuditLayer`] is an observer layer, the first one: it creates the [`CallId`], and it
//! records refused calls too. [`AuditBarrierLayer`] is the last call layer,
//! below the layers that refuse or wait.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, sandbox::Sandbox};
//! use clerk_actor_tokens_policy::audit::{AuditBarrierLayer, AuditLayer, MemorySink};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
//! let (sandbox, sink) = (Sandbox::new(), MemorySink::new());
//! let audit = AuditLayer::new(sink.clone());
//! let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
//!     .on_settle(audit.on_settle())
//!     .observe_layer(audit)
//!     .call_layer(AuditBarrierLayer::new())
//!     .build()?;
//! let token = client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
//!
//! for entry in sink.entries() {
//!     println!("{}", serde_json::to_string(&entry)?);
//! }
//! # let _ = token.expose_url();
//! # assert_eq!(sink.entries().len(), 3);
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! While the sink is unavailable, a create is refused with 503 `audit_unavailable` and outcome `NotSent`:
//! after two seconds, and after three failures in a row at once, until a probe each second succeeds.
//!
//! A create that succeeded fails if its end is not durable within the limit, with the same code and outcome
//! `Applied`. Its ticket is dropped unread, so that the token is revoked. With a [`Spool`] in a file the end
//! goes there instead, and the token is returned.
//!
//! **A revoke is sent in any case.** It waits for the sink no longer than a create does; its entries then go
//! to the [`Spool`].
//!
//! # Cancel safety
//!
//! Dropping the future drops the call and records its end, without waiting for the sink.
//!
//! Before a program ends, it [drains](clerk_actor_tokens::Client::drain) the client,
//! [replays](AuditLayer::replay) the spool, and [flushes](JsonLinesSink::flush) the sink.

mod barrier;
mod call;
mod entry;
mod formats;
mod json_lines;
mod log_file;
mod memory;
mod note;
mod recorder;
mod sink;
mod spool;
mod telemetry;
mod writer;
mod writer_queue;
mod writer_thread;

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use clerk_actor_tokens::{ActorToken, ActorTokenRequest, Error, client::SettleEvent};
use tower_layer::Layer;
use tower_service::Service;

#[cfg(feature = "metrics")]
pub(crate) use self::telemetry::meter::describe as describe_metrics;
pub use self::{
    barrier::{AuditBarrier, AuditBarrierLayer, BarrierFuture},
    entry::{Asked, Begin, Effect, End, Entry, Event, FollowUp},
    json_lines::{JsonLinesFile, JsonLinesRecord, JsonLinesSink},
    memory::{MemoryRecord, MemorySink},
    note::Note,
    sink::{AuditLog, AuditRecord, AuditSink, SinkUnavailable},
    spool::Spool,
    writer::AuditWriter,
    writer_queue::WriterRecord,
};
use self::{
    call::{AuditedCall, Unended, unavailable, withheld},
    recorder::Recorder,
};
use crate::{CallId, SharedPolicy, context::CallContext, future::take_ready};

/// How long a call waits for the sink at each of its entries.
const LIMIT: Duration = Duration::from_secs(2);

/// Layer of [`Audit`]. Its clones and all their services share the sink, its health and the spool.
pub struct AuditLayer<K> {
    recorder: Arc<Recorder<K>>,
    policy: Option<SharedPolicy>,
}

impl<K: AuditSink> AuditLayer<K> {
    /// Records calls in `sink`, with a [spool in memory](Spool::in_memory). There is no layer without a sink:
    ///
    /// ```compile_fail
    /// let audit = clerk_actor_tokens_policy::audit::AuditLayer::new(());
    /// ```
    pub fn new(sink: K) -> Self {
        Self::with_spool(sink, Spool::in_memory())
    }

    /// Records calls in `sink`, and in `spool` while the sink is unavailable.
    ///
    /// With a [spool in a file](Spool::open) a create is returned when its end is durable there.
    pub fn with_spool(sink: K, spool: Spool) -> Self {
        Self {
            recorder: Arc::new(Recorder::new(sink, spool, LIMIT)),
            policy: None,
        }
    }

    /// Also records the version of `policy` with each call.
    #[must_use]
    pub fn policy(mut self, policy: SharedPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Returns a hook for [`ClientBuilder::on_settle`](clerk_actor_tokens::ClientBuilder::on_settle), which
    /// records the ends of the tokens that callers did not get.
    pub fn on_settle(&self) -> impl Fn(&SettleEvent) + Send + Sync + 'static {
        let recorder = Arc::clone(&self.recorder);
        move |event| {
            if let Some(call) = CallId::of(event.extensions()) {
                recorder.follow_up(call, FollowUp::from(event));
            }
        }
    }

    /// Writes a fact that became known after a call.
    pub fn follow_up(&self, call: CallId, event: FollowUp) {
        self.recorder.follow_up(call, event);
    }

    /// Writes the spool to the sink now, which otherwise happens with the first call and then every second.
    /// A program does so when it starts and before it ends.
    ///
    /// # Errors
    ///
    /// When the sink or the spool is unavailable.
    ///
    /// # Cancel safety
    ///
    /// Entries that were written may be written again.
    pub async fn replay(&self) -> Result<(), SinkUnavailable> {
        self.recorder.replay().await
    }
}

impl<K> Clone for AuditLayer<K> {
    fn clone(&self) -> Self {
        Self {
            recorder: Arc::clone(&self.recorder),
            policy: self.policy.clone(),
        }
    }
}

impl<K> fmt::Debug for AuditLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer").finish_non_exhaustive()
    }
}

impl<S, K> Layer<S> for AuditLayer<K> {
    type Service = Audit<S, K>;

    fn layer(&self, inner: S) -> Audit<S, K> {
        let audit = self.clone();
        Audit { inner, audit }
    }
}

/// Records every call, see the [module](self).
pub struct Audit<S, K> {
    inner: S,
    audit: AuditLayer<K>,
}

impl<S: Clone, K> Clone for Audit<S, K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            audit: self.audit.clone(),
        }
    }
}

impl<S: fmt::Debug, K> fmt::Debug for Audit<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, K> Service<ActorTokenRequest> for Audit<S, K>
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
    K: AuditSink,
{
    type Response = ActorToken;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: ActorTokenRequest) -> ResponseFuture {
        let inner = take_ready(&mut self.inner);
        ResponseFuture {
            inner: Box::pin(audited(inner, self.audit.clone(), request)),
        }
    }
}

async fn audited<S, K>(
    mut service: S,
    AuditLayer { recorder, policy }: AuditLayer<K>,
    mut request: ActorTokenRequest,
) -> Result<ActorToken, Error>
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error = Error>,
    K: AuditSink,
{
    let (id, kind) = (CallId::create(), request.operation().kind());
    let watch = request.watch();
    let mut begin = Begin::of(&request);
    begin.policy = policy.map(|policy| policy.current().shared_version());
    let begun = recorder.begin(id, begin, kind).await;
    let call = AuditedCall::new(recorder, id, kind, begun.map_err(unavailable)?);
    CallContext::of_call(id, request.extensions_mut()).barrier = Some(call.clone());

    let mut unended = Unended {
        call: Some(Arc::clone(&call)),
        watch,
        is_polled: true,
    };
    let result = {
        // Dropped before `unended`, so that the watch knows of the attempts in flight.
        let mut inner = pin!(service.call(request));
        drop(service);
        poll_fn(|cx| {
            unended.is_polled = true;
            let polled = inner.as_mut().poll(cx);
            unended.is_polled = false;
            polled
        })
        .await
    };
    unended.call = None;
    match call.end(End::of(&result)).await {
        Ok(()) => result,
        // The token is dropped unread, and so revoked.
        Err(error) => Err(withheld(error, result.as_ref().ok())),
    }
}

/// The future of [`Audit`].
pub struct ResponseFuture {
    inner: Pin<Box<dyn Future<Output = Result<ActorToken, Error>> + Send>>,
}

impl Future for ResponseFuture {
    type Output = Result<ActorToken, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
