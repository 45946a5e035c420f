//! [`Settler`], what the creates of one service are settled by.

use std::{
    future::{Future, poll_fn},
    panic::{self, AssertUnwindSafe},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::Request;
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore, futures::OwnedNotified},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};
use tower::ServiceExt;
use tracing::{Instrument, Span};

use super::{
    DrainReport, SettleCounts, SettleEvent,
    compensate::{LIMIT, Revokes},
    config::Config,
    event::Counters,
    unsettled::Unsettled,
};
use crate::{
    ActorToken, ActorTokenRequest, Body, BoxError, Error, ErrorKind, Outcome, call::Attempt,
    runtime, telemetry,
};

/// How many compensating revokes are on their way at once.
const MAX_REVOKES: usize = 32;

/// What the creates of one service are settled by.
pub(crate) struct Settler {
    revokes: Revokes,
    config: Config,
    shared: Arc<Shared>,
}

/// What all services of one layer share.
pub(super) struct Shared {
    /// A token for each create on its way, whether somebody waits for it or it is only followed.
    creates: TaskTracker,
    /// The tasks in the background.
    tasks: TaskTracker,
    revokes: Semaphore,
    /// Ends the tasks of this moment.
    cut: Arc<Notify>,
    counters: Counters,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            creates: TaskTracker::new(),
            tasks: TaskTracker::new(),
            revokes: Semaphore::new(MAX_REVOKES),
            cut: Arc::default(),
            counters: Counters::default(),
        }
    }
}

/// A create that was let in. Dropped before it was sent, what is below panicked when it was called.
pub(super) struct Custody(Option<Admitted>);

/// A create that was let in.
pub(super) struct Admitted {
    pub(super) permit: TaskTrackerToken,
    pub(super) attempt: Attempt,
    pub(super) unsettled: Unsettled,
}

impl Custody {
    pub(super) fn sent(mut self) -> Admitted {
        self.0.take().expect("sent once")
    }
}

impl Drop for Custody {
    fn drop(&mut self) {
        if let Some(admitted) = self.0.take() {
            if !admitted.attempt.withdraw() {
                admitted.unsettled.nothing();
            }
        }
    }
}

impl Settler {
    pub(super) fn new(revokes: Revokes, config: Config, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            revokes,
            config,
            shared,
        })
    }

    /// Settles by `revokes` what no [`Settle`](super::Settle) layer does.
    pub(crate) fn over(revokes: Revokes) -> Arc<Self> {
        Self::new(revokes, Config::default(), Arc::default())
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.config.enabled
    }

    pub(super) fn revokes_unread(&self) -> bool {
        self.config.revoke_unread
    }

    pub(super) fn grace(&self) -> Duration {
        self.config.grace
    }

    pub(crate) async fn drain(&self, limit: Duration) -> DrainReport {
        self.shared.drain(limit).await
    }

    pub(crate) fn counts(&self) -> SettleCounts {
        self.shared.counts()
    }

    /// Lets a create in, or refuses it before anything is sent.
    pub(super) fn admit(
        self: &Arc<Self>,
        request: &mut Request<Body>,
    ) -> Result<Custody, BoxError> {
        let runtime = runtime::current()?;
        let permit = self.shared.creates.token();
        let limit = self.config.max_creates;
        if self.shared.creates.len() > limit {
            let error = Error::new(ErrorKind::Overloaded, Outcome::NotSent);
            return Err(error
                .with_detail(format!("{limit} creates are on their way"))
                .into());
        }
        let attempt = request.body_mut().held_attempt();
        let unsettled = Unsettled::of_request(Arc::clone(self), runtime, request);
        Ok(Custody(Some(Admitted {
            permit,
            attempt,
            unsettled,
        })))
    }

    /// Runs `task` in the background: where the caller is, if there are timers, else on `runtime`.
    pub(super) fn spawn<F>(&self, runtime: &Handle, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let here = runtime::current();
        let runtime = here.as_ref().unwrap_or(runtime);
        let span = if self.config.trace.is_disabled() {
            Span::none()
        } else {
            // A subscriber's panic is none of whoever drops a token.
            panic::catch_unwind(telemetry::settling_span).unwrap_or_else(|_| Span::none())
        };
        let task = task.instrument(span);
        drop(self.shared.tasks.spawn_on(task, runtime));
    }

    /// What ends a task of this moment when draining takes too long.
    pub(super) fn cut(&self) -> OwnedNotified {
        Arc::clone(&self.shared.cut).notified_owned()
    }

    /// Revokes, once it is its turn.
    pub(super) async fn revoke(&self, request: ActorTokenRequest) -> Result<ActorToken, Error> {
        // The semaphore is never closed.
        let _turn = self.shared.revokes.acquire().await;
        let revoked = within(LIMIT, self.revokes.clone().oneshot(request)).await;
        revoked.unwrap_or_else(|| {
            let error = Error::new(ErrorKind::Timeout, Outcome::Unknown);
            Err(error.with_detail(format!("revoking took longer than {LIMIT:?}")))
        })
    }

    /// Tells everybody who wants to know.
    pub(super) fn report(&self, event: &SettleEvent) {
        self.shared.counters.add(event.end());
        // Whoever is being dropped right now must not learn of a panic in somebody's subscriber or hook, and
        // it must not keep the next one from being told.
        let tell = |to: &dyn Fn()| drop(panic::catch_unwind(AssertUnwindSafe(to)));
        tell(&|| {
            telemetry::settled(
                event.end(),
                event.actor_token_id(),
                event.exposed_until(),
                event.error(),
            );
        });
        if let Some(hook) = &self.config.hook {
            tell(&|| hook(event));
        }
    }
}

impl Shared {
    pub(super) fn counts(&self) -> SettleCounts {
        self.counters.read()
    }

    pub(super) async fn drain(&self, limit: Duration) -> DrainReport {
        // Only a closed tracker can be waited for; it tracks what comes later all the same. Until then it
        // need not tell anybody each time that it is empty.
        self.creates.close();
        self.tasks.close();
        let settled = async {
            // What is lost from now on becomes a task before it stops being a create.
            self.creates.wait().await;
            self.tasks.wait().await;
        };
        let mut cut_short = 0;
        if within(limit, settled).await.is_none() {
            cut_short = self.tasks.len();
            self.cut.notify_waiters();
            // They end by themselves now, without waiting for anything.
            within(CUT, self.tasks.wait()).await;
        }
        DrainReport {
            counts: self.counts(),
            cut_short,
            in_flight: self.creates.len(),
        }
    }
}

/// How long tasks that were cut short may take to notice.
const CUT: Duration = Duration::from_millis(100);

/// The output of `future`, unless it takes longer than `limit`.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let deadline = tokio::time::Instant::now().checked_add(limit);
    let timer = match deadline.map(runtime::sleep_until) {
        Some(Ok(timer)) => timer,
        Some(Err(_)) => return unless(runtime::sleep_on_a_thread(limit), future).await,
        None => return Some(future.await),
    };
    unless(timer, future).await
}

/// The output of `future`, unless `end` comes first.
pub(super) async fn unless<E: Future, F: Future>(end: E, future: F) -> Option<F::Output> {
    let (mut end, mut future) = (pin!(end), pin!(future));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        end.as_mut().poll(cx).map(|_| None)
    })
    .await
}
