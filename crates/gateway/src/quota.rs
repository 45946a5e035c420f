//! Counts the tokens of a month (UTC), and refuses creates beyond the quota. Long, because count and layer are one idea.
//!
//! The API has no endpoint that shows its quota. So the gateway counts its own creates, and a create that
//! the API refuses because the quota is used up **closes** creates: further ones are refused at once, until
//! an operator reopens them or the month ends.
//!
//! A create takes a unit. The unit is given back when the call provably changed nothing at the API: its
//! outcome is `NotSent` or `Rejected`, also when it is cancelled. Revokes pass.
//!
//! # Position
//!
//! A call layer below all that refuse by themselves, so that a refused call takes no unit. It has a
//! [`TypedErrorLayer`] in it, which closes the record of the call, so that nothing can be sent after the
//! unit is given back.
//!
//! # Cancel safety
//!
//! Dropping the future drops the inner future, and gives the unit back if nothing changed.
//!
//! # Errors
//!
//! [`Error::refused`] with 402, the code `quota_exceeded`, and `meta.resets_at` in milliseconds since 1970.

use std::{
    fmt,
    future::ready,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::SystemTime,
};

use clerk_actor_tokens::{
    ActorTokenRequest, BoxError, CallWatch, ClerkErrors, Error, ErrorKind, OperationKind, Outcome,
    layer::{
        TypedErrorLayer,
        typed_error::{self, TypedError},
    },
};
use clerk_actor_tokens_policy::{Principal, audit::SinkUnavailable};
use futures_util::future::Either;
use http::StatusCode;
use time::{Time, UtcDateTime};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    config,
    meter::{self, Rule},
    storage::{Storage, StorageError},
    store::{Flag, Note, QUOTA_CLOSED, QUOTA_REOPENED, millis},
};

type Clock = Box<dyn Fn() -> SystemTime + Send + Sync>;

/// The quota of a month. Clones share it.
#[derive(Clone)]
pub(crate) struct Quota(Arc<Shared>);

struct Shared {
    limit: Option<u64>,
    storage: Storage,
    clock: Clock,
    period: Mutex<Period>,
    /// Held over a change, so that the audit has changes in the order in which they take effect.
    changing: tokio::sync::Mutex<()>,
}

/// A month, and what was used of it.
struct Period {
    begins: SystemTime,
    ends: SystemTime,
    used: u64,
    closed: Option<Flag>,
}

/// The state of the quota.
#[derive(Clone, Debug)]
pub(crate) struct QuotaStatus {
    pub(crate) limit: Option<u64>,
    pub(crate) used: u64,
    pub(crate) closed: Option<Flag>,
    pub(crate) resets_at: SystemTime,
}

impl Quota {
    /// Counts the tokens of this month in the audit.
    pub(crate) async fn open(
        config: &config::Quota,
        closed: Option<Flag>,
        storage: Storage,
    ) -> Result<Self, StorageError> {
        Self::with_clock(config, closed, storage, Box::new(SystemTime::now)).await
    }

    async fn with_clock(
        config: &config::Quota,
        closed: Option<Flag>,
        storage: Storage,
        clock: Clock,
    ) -> Result<Self, StorageError> {
        let mut period = Period::of(clock());
        period.used = storage.minted_since(period.begins).await?;
        let was_closed = closed.is_some();
        period.closed = period.of_it(closed);
        let was_closed = was_closed && period.closed.is_none();
        let quota = Self(Arc::new(Shared {
            limit: config.per_month,
            storage,
            clock,
            period: Mutex::new(period),
            changing: tokio::sync::Mutex::default(),
        }));
        if was_closed {
            quota.clone().record_month_end().await;
        }
        Ok(quota)
    }

    /// Locks the current month.
    fn period(&self) -> MutexGuard<'_, Period> {
        let now = (self.0.clock)();
        let period = self.0.period.lock();
        let mut period = period.unwrap_or_else(PoisonError::into_inner);
        // A clock that is set back changes nothing.
        if now >= period.ends {
            let last = mem::replace(&mut *period, Period::of(now));
            if last.closed.is_some() {
                tokio::spawn(self.clone().record_month_end());
            }
        }
        period
    }

    /// Records that the end of the month reopened creates.
    async fn record_month_end(self) {
        let _changing = self.0.changing.lock().await;
        // They may have been closed again meanwhile.
        if self.period().closed.is_some() {
            return;
        }
        let note = Note::new(QUOTA_REOPENED).detail("the month has ended");
        self.record(note).await;
    }

    async fn record(&self, note: Note) {
        if let Err(error) = self.0.storage.note(note).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "could not record whether creates are closed");
        }
    }

    /// Sets what the storage says: whether creates are closed.
    pub(crate) fn set_closed(&self, closed: Option<Flag>) {
        let mut period = self.period();
        period.closed = period.of_it(closed);
    }

    /// Counts the tokens of all gateways again, if there is a limit. Those of the others that were minted since the
    /// last count are not known before.
    pub(crate) async fn count_again(&self) {
        if self.0.limit.is_none() {
            return;
        }
        let begins = self.period().begins;
        match self.0.storage.minted_since(begins).await {
            Ok(used) => {
                let mut period = self.period();
                // This gateway also counts its calls in flight.
                if period.begins == begins {
                    period.used = period.used.max(used);
                }
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "could not count the tokens of this month");
            }
        }
    }

    pub(crate) fn status(&self) -> QuotaStatus {
        let period = self.period();
        QuotaStatus {
            limit: self.0.limit,
            used: period.used,
            closed: period.closed.clone(),
            resets_at: period.ends,
        }
    }

    /// Takes the unit of a create, or returns the error of a refusal.
    fn take(&self, watch: CallWatch) -> Result<Unit, Error> {
        let mut period = self.period();
        let refused = |rule, sentence: &str| {
            let entry = meter::refused(rule, sentence);
            let entry = entry.with_meta("resets_at", millis(period.ends));
            Error::refused(StatusCode::PAYMENT_REQUIRED, ClerkErrors::new(entry))
        };
        if period.closed.is_some() {
            let sentence =
                "The API's quota of impersonations is used up. An operator can reopen creates.";
            return Err(refused(Rule::QuotaClosed, sentence));
        }
        if self.0.limit.is_some_and(|limit| period.used >= limit) {
            let sentence = "The impersonations of this month are used up.";
            return Err(refused(Rule::QuotaUsed, sentence));
        }
        period.used += 1;
        Ok(Unit {
            quota: self.clone(),
            begins: period.begins,
            watch: Some(watch),
        })
    }

    /// Closes creates after this refusal of the API. They are closed at once; the future records it.
    fn close(&self, error: &Error) -> impl Future<Output = ()> + Send + 'static {
        let reason = error.code().unwrap_or("402").to_owned();
        let flag = Flag {
            since: millis((self.0.clock)()),
            by: None,
            reason: Some(reason.clone()),
        };
        let is_first = {
            let mut period = self.period();
            let is_first = period.closed.is_none();
            period.closed.get_or_insert(flag);
            is_first
        };
        let quota = self.clone();
        async move {
            if !is_first {
                return;
            }
            let _changing = quota.0.changing.lock().await;
            // An operator may have reopened meanwhile.
            if quota.period().closed.is_none() {
                return;
            }
            tracing::warn!(
                code = reason,
                "the API's quota is used up, creates are closed"
            );
            let note = Note::new(QUOTA_CLOSED).detail(reason);
            quota.record(note).await;
        }
    }

    /// Reopens creates, once the audit has it.
    pub(crate) async fn reopen(
        &self,
        by: Principal,
        reason: Option<String>,
    ) -> Result<(), SinkUnavailable> {
        let _changing = self.0.changing.lock().await;
        let mut note = Note::new(QUOTA_REOPENED).by(by);
        note.detail = reason;
        self.0.storage.note(note).await?;
        self.period().closed = None;
        Ok(())
    }
}

impl Period {
    /// Returns the flag, unless it was set before the month.
    fn of_it(&self, closed: Option<Flag>) -> Option<Flag> {
        closed.filter(|flag| flag.since >= millis(self.begins))
    }

    /// Returns the calendar month, of which nothing was used.
    fn of(now: SystemTime) -> Self {
        let first = UtcDateTime::from(now).replace_time(Time::MIDNIGHT);
        let first = first.replace_day(1).expect("every month has a first day");
        let days = time::util::days_in_month(first.month(), first.year());
        let next = first + time::Duration::days(days.into());
        Self {
            begins: first.into(),
            ends: next.into(),
            used: 0,
            closed: None,
        }
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Quota").field(&self.status()).finish()
    }
}

/// The unit of a create in flight. Dropped, it reads the outcome of a call that was cancelled.
struct Unit {
    quota: Quota,
    begins: SystemTime,
    watch: Option<CallWatch>,
}

impl Unit {
    fn end(mut self, outcome: Outcome) {
        self.watch = None;
        self.settle(outcome);
    }

    /// Gives the unit back if nothing changed, unless its month is over.
    fn settle(&self, outcome: Outcome) {
        let mut period = self.quota.period();
        if outcome.is_without_effect() && period.begins == self.begins {
            period.used = period.used.saturating_sub(1);
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            self.settle(watch.outcome());
        }
    }
}

/// Layer of [`Counted`].
#[derive(Clone, Debug)]
pub(crate) struct QuotaLayer(Quota);

impl QuotaLayer {
    pub(crate) fn new(quota: Quota) -> Self {
        Self(quota)
    }
}

impl<S> Layer<S> for QuotaLayer {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner: TypedErrorLayer::new().layer(inner),
            quota: self.0.clone(),
        }
    }
}

/// Counts creates and refuses them once the quota is used up, see the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    inner: TypedError<S>,
    quota: Quota,
}

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

impl<S> Service<ActorTokenRequest> for Counted<S>
where
    S: Service<ActorTokenRequest, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Either<typed_error::ResponseFuture<S>, Boxed<S::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> Self::Future {
        if request.operation().kind() != OperationKind::Create {
            return Either::Left(self.inner.call(request));
        }
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let unit = match self.quota.take(request.watch()) {
            Ok(unit) => unit,
            Err(error) => return Either::Right(Box::pin(ready(Err(error)))),
        };
        let quota = self.quota.clone();
        Either::Right(Box::pin(async move {
            // Dropped after the future of the call, so that it reads the final outcome.
            let unit = unit;
            let result = inner.call(request).await;
            let error = result.as_ref().err();
            unit.end(error.map_or(Outcome::Applied, Error::outcome));
            if let Some(error) = error.filter(|error| closes(error)) {
                // A task, so that a caller who disconnects does not stop the record.
                let _ = tokio::spawn(quota.close(error)).await;
            }
            result
        }))
    }
}

/// Returns whether the API refused because its quota is used up.
fn closes(error: &Error) -> bool {
    let is_of_plan = error.status() == Some(StatusCode::PAYMENT_REQUIRED);
    error.kind() == ErrorKind::Api && (is_of_plan || error.is_quota_exceeded())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clerk_actor_tokens::{Actor, CreateActorToken};

    use super::*;
    use crate::{
        config::Anchors,
        store::{Store, StoreOptions},
    };

    const DAY: Duration = Duration::from_secs(86_400);

    fn days(days: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * days
    }

    fn of(now: SystemTime) -> (SystemTime, SystemTime) {
        let period = Period::of(now);
        (period.begins, period.ends)
    }

    fn watch() -> CallWatch {
        let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
        ActorTokenRequest::create(create).watch()
    }

    #[test]
    fn period_is_the_calendar_month_in_utc() {
        // 1970 has no leap day, 1972 has one.
        assert_eq!(of(days(0)), (days(0), days(31)));
        assert_eq!(of(days(31) - DAY / 2), (days(0), days(31)));
        assert_eq!(of(days(31)), (days(31), days(59)));
        assert_eq!(of(days(364) + DAY / 2), (days(334), days(365)));
        assert_eq!(of(days(789)), (days(761), days(790)));
    }

    #[tokio::test]
    async fn month_end_reopens_creates_and_counts_from_zero() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::new();
        options.anchors = Anchors::File(folder.path().join("anchors"));
        let store = Store::open(&folder.path().join("gateway.db"), options).unwrap();
        let storage = Storage::from(store);
        let clock = Arc::new(Mutex::new(days(30)));
        let read = Arc::clone(&clock);
        let now: Clock = Box::new(move || *read.lock().unwrap());
        let config = config::Quota { per_month: Some(1) };
        let quota = Quota::with_clock(&config, None, storage.clone(), now);
        let quota = quota.await.unwrap();

        let in_flight = quota.take(watch()).unwrap();
        assert_eq!(
            quota.take(watch()).err().unwrap().code(),
            Some("quota_exceeded")
        );
        let closed = ClerkErrors::default();
        quota
            .close(&Error::api(StatusCode::PAYMENT_REQUIRED, closed))
            .await;
        assert!(quota.status().closed.is_some());
        let settings = storage.settings().await.unwrap();
        assert!(settings.quota_closed.is_some());

        *clock.lock().unwrap() = days(31);
        let status = quota.status();
        assert_eq!((status.used, status.resets_at), (0, days(59)));
        assert!(status.closed.is_none());
        let next = quota.take(watch()).unwrap();
        // A unit of the month before is not given back to this one.
        in_flight.end(Outcome::NotSent);
        assert_eq!(quota.status().used, 1);
        next.end(Outcome::Rejected);
        assert_eq!(quota.status().used, 0);

        drop(quota.take(watch()).unwrap());
        assert_eq!(quota.status().used, 0);
        while storage.settings().await.unwrap().quota_closed.is_some() {}

        // A clock that is set back changes nothing.
        *clock.lock().unwrap() = days(2);
        assert_eq!(quota.status().resets_at, days(59));
    }
}
