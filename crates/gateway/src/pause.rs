//! Refuses creates while the gateway is paused. Revokes pass.
//!
//! # Position
//!
//! A call layer above [`AuthorizeLayer`](clerk_actor_tokens_policy::AuthorizeLayer), which may take time.
//! Audit is above it, so that a refused create is recorded.
//!
//! # Cancel safety
//!
//! The layer does not wait. Dropping the future drops the inner future.
//!
//! # Errors
//!
//! [`Error::refused`] with 503, the code `paused` and [`RETRY_AFTER`]. Errors of the inner service pass
//! unchanged.

use std::{
    future::{Ready, ready},
    mem,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::{ActorTokenRequest, ClerkErrors, Error, OperationKind};
use clerk_actor_tokens_policy::{Principal, audit::SinkUnavailable};
use futures_util::future::Either;
use http::StatusCode;
use tokio::sync::Mutex;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    meter::{self, Rule},
    storage::Storage,
    store::{Flag, Note, PAUSED, RESUMED, millis},
};

/// The wait that a refused caller is advised to make, because the end of a pause is unknown.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Whether creates are paused. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pause(Arc<State>);

#[derive(Debug, Default)]
struct State {
    paused: RwLock<Option<Flag>>,
    /// Held over a change, so that the audit has changes in the order in which they take effect.
    changing: Mutex<()>,
}

impl Pause {
    pub(crate) fn new(paused: Option<Flag>) -> Self {
        let (paused, changing) = (RwLock::new(paused), Mutex::default());
        Self(Arc::new(State { paused, changing }))
    }

    pub(crate) fn get(&self) -> Option<Flag> {
        let paused = self.0.paused.read();
        paused.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Pauses creates, once the audit has it.
    pub(crate) async fn pause(
        &self,
        storage: &Storage,
        by: Principal,
        reason: Option<String>,
    ) -> Result<(), SinkUnavailable> {
        let flag = Flag {
            since: millis(SystemTime::now()),
            by: Some(by.id.to_string()),
            reason: reason.clone(),
        };
        let note = Note::new(PAUSED).by(by);
        self.change(storage, note, reason, Some(flag)).await
    }

    /// Resumes creates, once the audit has it.
    pub(crate) async fn resume(
        &self,
        storage: &Storage,
        by: Principal,
        reason: Option<String>,
    ) -> Result<(), SinkUnavailable> {
        self.change(storage, Note::new(RESUMED).by(by), reason, None)
            .await
    }

    async fn change(
        &self,
        storage: &Storage,
        mut note: Note,
        reason: Option<String>,
        paused: Option<Flag>,
    ) -> Result<(), SinkUnavailable> {
        let _changing = self.0.changing.lock().await;
        note.detail = reason;
        storage.note(note).await?;
        self.set(paused);
        Ok(())
    }

    /// Sets what the storage says.
    pub(crate) fn set(&self, paused: Option<Flag>) {
        let current = self.0.paused.write();
        *current.unwrap_or_else(PoisonError::into_inner) = paused;
    }
}

/// Layer of [`Paused`].
#[derive(Clone, Debug)]
pub(crate) struct PauseLayer(Pause);

impl PauseLayer {
    pub(crate) fn new(pause: Pause) -> Self {
        Self(pause)
    }
}

impl<S> Layer<S> for PauseLayer {
    type Service = Paused<S>;

    fn layer(&self, inner: S) -> Paused<S> {
        let pause = self.0.clone();
        Paused { inner, pause }
    }
}

/// Refuses creates while the gateway is paused, see the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Paused<S> {
    inner: S,
    pause: Pause,
}

impl<S> Service<ActorTokenRequest> for Paused<S>
where
    S: Service<ActorTokenRequest, Error: From<Error>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: ActorTokenRequest) -> Self::Future {
        let is_create = request.operation().kind() == OperationKind::Create;
        let Some(flag) = self.pause.get().filter(|_| is_create) else {
            return Either::Left(self.inner.call(request));
        };
        // Releases the reserved readiness, such as a concurrency permit.
        let clone = self.inner.clone();
        drop(mem::replace(&mut self.inner, clone));
        let paused = match flag.by {
            Some(_) => "An operator has paused creates",
            None => "Creates are paused",
        };
        let sentence = match flag.reason {
            Some(reason) => format!("{paused}: {reason}"),
            None => format!("{paused}."),
        };
        let entry = meter::refused(Rule::Paused, sentence);
        let error = Error::refused(StatusCode::SERVICE_UNAVAILABLE, ClerkErrors::new(entry))
            .with_retry_after(RETRY_AFTER);
        Either::Right(ready(Err(error.into())))
    }
}

#[cfg(test)]
mod tests {
    use clerk_actor_tokens::{Actor, BoxError, CreateActorToken};
    use tower::ServiceExt;

    use super::*;
    use crate::{
        config,
        quota::{Quota, QuotaLayer},
        store::{Store, StoreOptions},
    };

    /// Panics when it is called without being ready. A clone is not ready.
    #[derive(Debug, Default)]
    struct Strict(bool);

    impl Clone for Strict {
        fn clone(&self) -> Self {
            Self(false)
        }
    }

    impl Service<ActorTokenRequest> for Strict {
        type Response = ();
        type Error = BoxError;
        type Future = Ready<Result<(), BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            self.0 = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: ActorTokenRequest) -> Self::Future {
            assert!(mem::take(&mut self.0), "called without being ready");
            ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn layers_call_the_instance_that_was_polled_ready() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("gateway.db"), StoreOptions::new()).unwrap();
        let storage = Storage::from(store);
        let config = config::Quota { per_month: Some(1) };
        let quota = Quota::open(&config, None, storage.clone()).await.unwrap();
        let pause = Pause::default();
        let counted = QuotaLayer::new(quota).layer(Strict::default());
        let mut service = PauseLayer::new(pause.clone()).layer(counted);

        let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
        let create = || ActorTokenRequest::create(create.clone());
        let revoke = || ActorTokenRequest::revoke("act_1".parse().unwrap());
        let by = || Principal::new("olga");
        let mut call = async |request| {
            let called = service.ready().await?.call(request);
            called.await.map_err(BoxError::from)
        };
        call(revoke()).await.unwrap();
        call(create()).await.unwrap();
        call(revoke()).await.unwrap();
        // The month is used up, and then creates are paused.
        call(create()).await.unwrap_err();
        call(revoke()).await.unwrap();
        pause.pause(&storage, by(), None).await.unwrap();
        call(create()).await.unwrap_err();
        call(revoke()).await.unwrap();
    }
}
