//! [`Settler`], which admits creates, revokes lost tokens and reports them.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Instrument, Span};

use super::{DrainReport, SettleCounts, SettleEvent};
use crate::{
    ActorToken, ActorTokenRequest, Body, BoxError, Error, ErrorKind, Outcome, RetryConfig,
    TokenResponse,
    layer::{DecodeErrorLayer, JsonLayer, RetryLayer, TimeoutLayer, TraceLayer, TypedErrorLayer},
    lock, telemetry,
};

/// The largest number of concurrent compensating revokes.
const MAX_REVOKES: usize = 32;

/// The timeout of a compensating revoke, backoff included.
const REVOKE_LIMIT: Duration = Duration::from_secs(60);

const REVOKE_ATTEMPT_LIMIT: Duration = Duration::from_secs(10);

const REVOKE_ATTEMPTS: u32 = 5;

/// The time in which tasks that drain has cancelled must end.
const CUT_LIMIT: Duration = Duration::from_millis(100);

/// The service that revokes lost tokens.
pub(crate) type Revokes = BoxCloneSyncService<ActorTokenRequest, ActorToken, Error>;

type Hook = dyn Fn(&SettleEvent) + Send + Sync;

/// The settings of a [`SettleLayer`](super::SettleLayer).
#[derive(Clone)]
pub(super) struct Config {
    pub(super) enabled: bool,
    pub(super) max_creates: usize,
    pub(super) permits: Arc<Semaphore>,
    pub(super) grace: Duration,
    pub(super) revoke_unread: bool,
    pub(super) hook: Option<Arc<Hook>>,
    pub(super) trace: TraceLayer,
}

impl Config {
    pub(super) fn set_max_creates(&mut self, creates: usize) {
        self.max_creates = creates;
        self.permits = Arc::new(Semaphore::new(creates.min(Semaphore::MAX_PERMITS)));
    }
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Self {
            enabled: true,
            max_creates: 0,
            permits: Arc::new(Semaphore::new(0)),
            grace: Duration::from_secs(30),
            revoke_unread: true,
            hook: None,
            trace: TraceLayer::new(),
        };
        config.set_max_creates(1024);
        config
    }
}

/// The state that all services of one layer share.
pub(crate) struct Shared {
    /// The creates in flight, followed ones included.
    creates: TaskTracker,
    /// The background tasks.
    tasks: TaskTracker,
    revokes: Semaphore,
    /// Cancels the background tasks that exist when a drain ends.
    cut: Mutex<CancellationToken>,
    counts: Mutex<SettleCounts>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            creates: TaskTracker::new(),
            tasks: TaskTracker::new(),
            revokes: Semaphore::new(MAX_REVOKES),
            cut: Mutex::default(),
            counts: Mutex::default(),
        }
    }
}

/// The permit of a create in flight.
pub(super) struct Permit {
    _place: OwnedSemaphorePermit,
    _tracked: TaskTrackerToken,
}

/// Admits creates, revokes lost tokens and reports them.
pub(crate) struct Settler {
    revokes: Revokes,
    pub(super) config: Config,
    pub(crate) shared: Arc<Shared>,
}

impl Settler {
    pub(super) fn new(revokes: Revokes, config: Config, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            revokes,
            config,
            shared,
        })
    }

    /// Creates a settler that revokes leases by `revokes`, without a [`Settle`](super::Settle) layer.
    pub(crate) fn over(revokes: Revokes) -> Arc<Self> {
        Self::new(revokes, Config::default(), Arc::default())
    }

    /// Takes a permit for a create, or refuses it before anything is sent.
    pub(super) fn admit(&self) -> Result<Permit, Error> {
        let place = Arc::clone(&self.config.permits).try_acquire_owned();
        let place = place.map_err(|_| {
            let limit = self.config.max_creates;
            Error::new(ErrorKind::Overloaded, Outcome::NotSent)
                .with_detail(format!("{limit} creates are in flight"))
        })?;
        Ok(Permit {
            _place: place,
            _tracked: self.shared.creates.token(),
        })
    }

    /// Spawns `task` on the current runtime if there is one, else on `runtime`.
    pub(super) fn spawn<F>(&self, runtime: &Handle, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let current = Handle::try_current();
        let span = if self.config.trace.is_disabled() {
            Span::none()
        } else {
            isolate(telemetry::settling_span).unwrap_or_else(Span::none)
        };
        let task = task.instrument(span);
        let runtime = current.as_ref().unwrap_or(runtime);
        drop(self.shared.tasks.spawn_on(task, runtime));
    }

    /// Returns the token that cancels a task of now at the limit of a drain.
    pub(super) fn cut(&self) -> CancellationToken {
        lock(&self.shared.cut).clone()
    }

    /// Revokes a lost token, when one of [`MAX_REVOKES`] permits is free.
    pub(super) async fn revoke(&self, request: ActorTokenRequest) -> Result<ActorToken, Error> {
        // The semaphore is never closed.
        let _turn = self.shared.revokes.acquire().await;
        let revoked = self.revokes.clone().oneshot(request);
        let revoked = tokio::time::timeout(REVOKE_LIMIT, revoked).await;
        revoked.unwrap_or_else(|_| {
            let error = Error::new(ErrorKind::Timeout, Outcome::Unknown);
            Err(error.with_detail(format!("the revoke took longer than {REVOKE_LIMIT:?}")))
        })
    }

    /// Reports how a token ended to the counters, the event log, the metrics and the hook.
    pub(super) fn report(&self, event: &SettleEvent) {
        lock(&self.shared.counts).add(event.end());
        isolate(|| {
            telemetry::settled(
                event.end(),
                event.actor_token_id(),
                event.exposed_until(),
                event.error(),
            );
        });
        if let Some(hook) = &self.config.hook {
            isolate(|| hook(event));
        }
    }
}

/// Runs a hook or a subscriber of users. A panic in it could abort the process inside `Drop`, or prevent
/// the report of the next token.
fn isolate<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

impl Shared {
    pub(crate) fn counts(&self) -> SettleCounts {
        *lock(&self.counts)
    }

    pub(crate) async fn drain(&self, limit: Duration) -> DrainReport {
        // Only a closed tracker can be waited for. It still tracks later tasks.
        self.creates.close();
        self.tasks.close();
        let settled = async {
            // A lost create is tracked as a task before it is removed here.
            self.creates.wait().await;
            self.tasks.wait().await;
        };
        let mut cut_short = 0;
        if tokio::time::timeout(limit, settled).await.is_err() {
            cut_short = self.tasks.len();
            let cut = mem::take(&mut *lock(&self.cut));
            cut.cancel();
            let _ = tokio::time::timeout(CUT_LIMIT, self.tasks.wait()).await;
        }
        DrainReport {
            counts: self.counts(),
            cut_short,
            in_flight: self.creates.len(),
        }
    }
}

/// Returns the stack of a compensating revoke over the layers below Settle.
pub(super) fn compensating<S>(inner: S, trace: &TraceLayer) -> Revokes
where
    S: Service<Request<Body>, Response = Response<Bytes>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let retry = RetryConfig::default()
        .max_attempts(REVOKE_ATTEMPTS)
        .max_elapsed(REVOKE_LIMIT)
        .max_retry_after(REVOKE_LIMIT)
        .budget(false);
    let svc = inner.map_response(|response: Response<Bytes>| response.map(TokenResponse::new));
    let svc = TimeoutLayer::new(REVOKE_ATTEMPT_LIMIT).layer(svc);
    let svc = DecodeErrorLayer::new().layer(svc);
    let svc = trace.layer(svc);
    let svc = RetryLayer::new(retry).layer(svc);
    let svc = JsonLayer::trusting_headers().layer(svc);
    let svc = TypedErrorLayer::new().layer(svc);
    Revokes::new(svc)
}
