//! [`Hosts`], the pool itself: the connections to all hosts, and what clears them away.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Uri;
use hyper_util::client::pool::cache;
use tokio::runtime::{Handle, Id};
use tower_service::Service;

use super::{
    background::Background,
    connect::{Connect, Connection},
    exchange::Exchange,
    home::{Home, Make},
    host::{Access, Host},
    http1::Http1,
    http2::Http2,
};
use crate::{
    BoxError,
    runtime::{self, NoRuntime},
};

/// How often what is no longer of use is cleared away, as long as anything is kept.
const SWEEP: Duration = Duration::from_secs(5);

/// A pool over `connector`.
pub(super) fn pool<C>(connector: C) -> Arc<dyn Exchange>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    let make = move |uri, http2| {
        let connect = Connect::new(connector.clone(), uri, http2);
        cache::builder().executor(Background).build(connect)
    };
    Hosts::new(
        make,
        |place| place.inner_mut(),
        |cache| {
            cache.retain(Http1::is_open);
            !cache.is_empty()
        },
    )
}

/// The connections to all hosts.
pub(super) struct Hosts<K, P> {
    homes: Mutex<Vec<Home<K>>>,
    make: Make<K>,
    pub(super) access: Access<P>,
    retain: fn(&mut K) -> bool,
}

impl<K, P> Hosts<K, P>
where
    K: Service<(), Response = P> + Send + 'static,
    P: 'static,
{
    fn new(
        make: impl Fn(Uri, Arc<Http2>) -> K + Send + Sync + 'static,
        access: Access<P>,
        retain: fn(&mut K) -> bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            homes: Mutex::default(),
            make: Box::new(make),
            access,
            retain,
        })
    }

    /// The host that a request goes to.
    pub(super) fn host(self: &Arc<Self>, uri: &Uri) -> Result<Arc<Host<K>>, BoxError> {
        // Whether it has timers is asked where a connection is made, and not of each request.
        let runtime = match Handle::try_current() {
            Ok(runtime) => runtime.id(),
            Err(_) => return Err(NoRuntime::Missing.into()),
        };
        let mut homes = self.homes();
        let home = match homes.iter().position(|home| home.runtime == runtime) {
            Some(at) => &mut homes[at],
            None => add_to(&mut homes, runtime),
        };
        if !home.swept.load(Ordering::Relaxed) {
            self.begin_sweeping(home);
        }
        Ok(home.host(uri, &self.make)?)
    }

    #[cold]
    fn begin_sweeping(self: &Arc<Self>, home: &Home<K>) {
        let Ok(runtime) = runtime::current() else {
            return;
        };
        home.swept.store(true, Ordering::Relaxed);
        let sweeping = Sweeping(Arc::clone(&home.swept));
        let (hosts, id) = (Arc::downgrade(self), home.runtime);
        runtime.spawn(async move {
            let _sweeping = sweeping;
            loop {
                tokio::time::sleep(SWEEP).await;
                if !hosts.upgrade().is_some_and(|hosts| hosts.sweep(id)) {
                    return;
                }
            }
        });
    }

    /// Closes what is no longer of use to a runtime. Whether anything is left; if not, the task is over.
    fn sweep(&self, runtime: Id) -> bool {
        let mut homes = self.homes();
        let Some(at) = homes.iter().position(|home| home.runtime == runtime) else {
            return false;
        };
        let any = homes[at].sweep(self.retain);
        if !any {
            homes.swap_remove(at);
        }
        any
    }
}

impl<K, P> Hosts<K, P> {
    fn homes(&self) -> MutexGuard<'_, Vec<Home<K>>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for another runtime, where those were that have ended.
#[cold]
fn add_to<K>(homes: &mut Vec<Home<K>>, runtime: Id) -> &mut Home<K> {
    homes.retain(|home| home.swept.load(Ordering::Relaxed));
    homes.push(Home::new(runtime));
    let at = homes.len() - 1;
    &mut homes[at]
}

/// The task that clears away, which ends with its runtime at the latest.
struct Sweeping(Arc<AtomicBool>);

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Ready, ready},
        task::{Context, Poll},
    };

    use super::*;

    /// In place of a cache.
    struct Nothing;

    impl Service<()> for Nothing {
        type Response = ();
        type Error = ();
        type Future = Ready<Result<(), ()>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            ready(Ok(()))
        }
    }

    #[test]
    fn nothing_is_left_of_runtimes_that_have_ended() {
        let hosts = Hosts::new(|_, _| Nothing, |()| unreachable!(), |_| true);
        let begin = || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().unwrap();
            let uri = Uri::from_static("http://127.0.0.1");
            let host = || runtime.block_on(async { hosts.host(&uri) }).unwrap();
            assert!(Arc::ptr_eq(&host(), &host()));
            runtime
        };
        for _ in 0..3 {
            let (_one, _other) = (begin(), begin());
            assert_eq!(hosts.homes().len(), 2);
        }
    }
}
