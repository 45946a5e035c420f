//! [`Instances`], the clones of a stack that calls are made on.

use std::{
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tower::util::BoxCloneSyncService;
use tower_service::Service;

use crate::{ActorToken, ActorTokenRequest, Error};

/// A clone of a stack whose type is forgotten.
pub(super) type Instance = BoxCloneSyncService<ActorTokenRequest, ActorToken, Error>;

/// The clones of a stack that calls are made on.
pub(super) struct Instances {
    prototype: Instance,
    /// The clone that the last call was begun on. It is free as soon as a call was begun, and so one is
    /// nearly always enough.
    idle: Mutex<Option<Instance>>,
}

impl Instances {
    pub(super) fn new(prototype: Instance) -> Self {
        Self {
            prototype,
            idle: Mutex::default(),
        }
    }

    /// A clone of its own, for who keeps it.
    pub(super) fn fresh(&self) -> Instance {
        self.prototype.clone()
    }

    /// Makes a call on one of the clones. Dropped before that was ready, the clone is dropped, too: what
    /// it may have reserved is free for others then.
    #[expect(clippy::manual_async_fn, reason = "that would hold the request twice")]
    pub(super) fn call(
        &self,
        request: impl Into<ActorTokenRequest>,
    ) -> impl Future<Output = Result<ActorToken, Error>> {
        async move {
            let idle = self.idle().take();
            let mut instance = idle.unwrap_or_else(|| self.fresh());
            poll_fn(|cx| instance.poll_ready(cx)).await?;
            let call = instance.call(request.into());
            let replaced = self.idle().replace(instance);
            // Not while the lock is held: what users' layers drop is theirs.
            drop(replaced);
            call.await
        }
    }

    fn idle(&self) -> MutexGuard<'_, Option<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
