//! [`Pool`], the connections of all runtimes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use hashbrown::HashMap;
use tokio::{
    runtime::{Handle, Id},
    task::JoinHandle,
};

use crate::{
    error::{Error, Kind},
    host::Host,
    target::Origin,
};

/// How often idle connections are checked while there are any.
const SWEEP: Duration = Duration::from_secs(5);

/// The connections of all runtimes, and how long they may be idle.
pub(crate) struct Pool<B> {
    idle_timeout: Duration,
    runtimes: Mutex<HashMap<Id, RuntimePool<B>>>,
}

/// The connections that one runtime drives. They end with it.
struct RuntimePool<B> {
    hosts: HashMap<Origin, Arc<Host<B>>>,
    /// The task that drops idle connections. It ends with its runtime.
    sweeper: JoinHandle<()>,
}

impl<B: Send + 'static> Pool<B> {
    pub(crate) fn new(idle_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            idle_timeout,
            runtimes: Mutex::default(),
        })
    }

    /// Returns the connections of the current runtime to `origin`.
    pub(crate) fn host(self: &Arc<Self>, origin: &Origin) -> Result<Arc<Host<B>>, Error> {
        let current = Handle::try_current().map_err(|error| Error::new(Kind::Runtime, error))?;
        let id = current.id();
        let mut runtimes = self.lock();
        let known = runtimes.get(&id).map(|pool| pool.hosts.get(origin));
        if let Some(Some(host)) = known {
            return Ok(Arc::clone(host));
        }
        if known.is_none() {
            runtimes.retain(|_, pool| !pool.sweeper.is_finished());
        }
        let pool = runtimes.entry(id).or_insert_with(|| RuntimePool {
            hosts: HashMap::new(),
            sweeper: current.spawn(sweep(Arc::downgrade(self), id)),
        });
        let host = Arc::new(Host::new(current, origin, self.idle_timeout)?);
        pool.hosts.insert(origin.clone(), Arc::clone(&host));
        Ok(host)
    }

    /// Drops idle connections of a runtime. Returns whether it still has any.
    fn sweep(&self, runtime: Id) -> bool {
        let mut runtimes = self.lock();
        let Some(pool) = runtimes.get_mut(&runtime) else {
            return false;
        };
        // A host in use is referenced by its exchange.
        pool.hosts
            .retain(|_, host| host.sweep() || Arc::strong_count(host) > 1);
        let is_empty = pool.hosts.is_empty();
        if is_empty {
            runtimes.remove(&runtime);
        }
        !is_empty
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, RuntimePool<B>>> {
        self.runtimes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep<B: Send + 'static>(pool: Weak<Pool<B>>, runtime: Id) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if !pool.upgrade().is_some_and(|pool| pool.sweep(runtime)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn pool_of_a_runtime_that_is_gone_is_removed() {
        let pool = Pool::<()>::new(Duration::from_secs(30));
        let request = Request::get("http://127.0.0.1/").body(()).unwrap();
        let origin = Origin::of(&request).unwrap();
        let begin = || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async { pool.host(&origin) }).unwrap();
            runtime
        };
        for _ in 0..3 {
            let (_one, _other) = (begin(), begin());
            assert_eq!(pool.lock().len(), 2);
        }
    }
}
