//! [`Home`], the connections that one runtime drives.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use http::{Uri, uri::Scheme};
use tokio::runtime::Id;

use super::{PoolError, host::Host, http2::Http2, target};

pub(super) type Make<K> = Box<dyn Fn(Uri, Arc<Http2>) -> K + Send + Sync>;

/// The connections that one runtime drives. They end with it, and whoever waits for an answer by one
/// while nobody runs it waits in vain, so that they are of no use to calls on another.
pub(super) struct Home<K> {
    pub(super) runtime: Id,
    /// Whether a task of the runtime clears away.
    pub(super) swept: Arc<AtomicBool>,
    http: ByAuthority<K>,
    https: ByAuthority<K>,
}

/// There are few, and to compare them costs less than to hash them.
type ByAuthority<K> = BTreeMap<String, Arc<Host<K>>>;

impl<K> Home<K> {
    pub(super) fn new(runtime: Id) -> Self {
        Self {
            runtime,
            swept: Arc::default(),
            http: BTreeMap::new(),
            https: BTreeMap::new(),
        }
    }

    pub(super) fn host(&mut self, uri: &Uri, make: &Make<K>) -> Result<Arc<Host<K>>, PoolError> {
        let hosts = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => &mut self.https,
            Some(scheme) if *scheme == Scheme::HTTP => &mut self.http,
            _ => return Err(PoolError::request()),
        };
        let authority = uri.authority().ok_or_else(PoolError::request)?.as_str();
        match hosts.get(authority) {
            Some(host) => Ok(Arc::clone(host)),
            None => add_to(hosts, make, uri, authority),
        }
    }

    /// Forgets hosts without connections. Whether any is left.
    pub(super) fn sweep(&mut self, retain: fn(&mut K) -> bool) -> bool {
        for hosts in [&mut self.http, &mut self.https] {
            // Nobody else gets hold of a host meanwhile.
            hosts.retain(|_, host| host.sweep(retain) || Arc::strong_count(host) > 1);
        }
        !(self.http.is_empty() && self.https.is_empty())
    }
}

#[cold]
fn add_to<K>(
    hosts: &mut ByAuthority<K>,
    make: &Make<K>,
    uri: &Uri,
    authority: &str,
) -> Result<Arc<Host<K>>, PoolError> {
    let base = target::base(uri).ok_or_else(PoolError::request)?;
    let host = Host::new(base, make).ok_or_else(PoolError::request)?;
    let host = Arc::new(host);
    hosts.insert(authority.to_owned(), Arc::clone(&host));
    Ok(host)
}
