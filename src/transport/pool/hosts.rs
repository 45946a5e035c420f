//! [`Hosts`], the pool itself: the connections to all hosts, and what clears them away.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_util::{client::pool::cache, rt::TokioExecutor};
use tower_service::Service;

use super::{
    PoolError,
    connect::{Connect, Connection},
    exchange::Exchange,
    host::{Access, Host},
    http1::Http1,
    http2::Http2,
    target,
};
use crate::{BoxError, runtime};

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
        cache::builder()
            .executor(TokioExecutor::new())
            .build(connect)
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

type Make<K> = Box<dyn Fn(Uri, Arc<Http2>) -> K + Send + Sync>;

/// The connections to all hosts.
pub(super) struct Hosts<K, P> {
    known: Mutex<Known<K>>,
    /// Whether a task clears away.
    swept: Arc<AtomicBool>,
    make: Make<K>,
    pub(super) access: Access<P>,
    retain: fn(&mut K) -> bool,
}

struct Known<K> {
    http: ByAuthority<K>,
    https: ByAuthority<K>,
}

/// There are few, and to compare them costs less than to hash them.
type ByAuthority<K> = BTreeMap<String, Arc<Host<K>>>;

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
        let known = Mutex::new(Known {
            http: BTreeMap::new(),
            https: BTreeMap::new(),
        });
        Arc::new(Self {
            known,
            swept: Arc::default(),
            make: Box::new(make),
            access,
            retain,
        })
    }

    /// The host that a request goes to.
    pub(super) fn host(self: &Arc<Self>, uri: &Uri) -> Result<Arc<Host<K>>, PoolError> {
        let mut known = self.known();
        if !self.swept.load(Ordering::Relaxed) {
            self.begin_sweeping();
        }
        let hosts = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => &mut known.https,
            Some(scheme) if *scheme == Scheme::HTTP => &mut known.http,
            _ => return Err(PoolError::request()),
        };
        let authority = uri.authority().ok_or_else(PoolError::request)?.as_str();
        match hosts.get(authority) {
            Some(host) => Ok(Arc::clone(host)),
            None => self.add_to(hosts, uri, authority),
        }
    }

    #[cold]
    fn add_to(
        &self,
        hosts: &mut ByAuthority<K>,
        uri: &Uri,
        authority: &str,
    ) -> Result<Arc<Host<K>>, PoolError> {
        let base = target::base(uri).ok_or_else(PoolError::request)?;
        let host = Host::new(base, &self.make).ok_or_else(PoolError::request)?;
        let host = Arc::new(host);
        hosts.insert(authority.to_owned(), Arc::clone(&host));
        Ok(host)
    }

    #[cold]
    fn begin_sweeping(self: &Arc<Self>) {
        let Ok(runtime) = runtime::current() else {
            return;
        };
        self.swept.store(true, Ordering::Relaxed);
        let sweeping = Sweeping(Some(Arc::clone(&self.swept)));
        let hosts = Arc::downgrade(self);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                if !hosts.upgrade().is_some_and(|hosts| hosts.sweep()) {
                    return sweeping.over();
                }
            }
        });
    }

    /// Forgets hosts without connections. Whether any is left; if not, the task is over.
    fn sweep(&self) -> bool {
        let mut known = self.known();
        let Known { http, https } = &mut *known;
        for hosts in [&mut *http, &mut *https] {
            // Nobody else gets hold of a host while the map is locked.
            hosts.retain(|_, host| host.sweep(self.retain) || Arc::strong_count(host) > 1);
        }
        let any = !(http.is_empty() && https.is_empty());
        self.swept.store(any, Ordering::Relaxed);
        any
    }
}

impl<K, P> Hosts<K, P> {
    fn known(&self) -> MutexGuard<'_, Known<K>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that clears away; its runtime may end before the pool does.
struct Sweeping(Option<Arc<AtomicBool>>);

impl Sweeping {
    /// It ended by itself, and said so before.
    fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        if let Some(swept) = &self.0 {
            swept.store(false, Ordering::Relaxed);
        }
    }
}
