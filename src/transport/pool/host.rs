//! [`Host`], the connections to one scheme, name and port.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use http::{HeaderValue, Uri};
use tower_service::Service;

use super::{
    PoolError,
    connect::NoHttp1,
    http1::Http1,
    http2::{Http2, Published},
    kept::{Kept, look},
    target,
};
use crate::{BoxError, runtime};

/// The connections to one host. `K` is hyper-util's cache of those of HTTP/1.1, whose type cannot be
/// named, and neither can that of the places in it.
pub(super) struct Host<K> {
    /// Scheme and authority.
    pub(super) uri: Uri,
    /// What the header `Host` says.
    pub(super) name: HeaderValue,
    pub(super) http2: Arc<Http2>,
    kept: Mutex<K>,
}

/// Reaches the connection in a place of the cache.
pub(super) type Access<P> = for<'a> fn(&'a mut P) -> &'a mut Http1;

/// A connection for one exchange.
pub(super) enum Checkout<K, P>
where
    P: Service<()>,
{
    Http1 {
        lent: Box<Lent<K, P>>,
        /// Whether it was kept, so that it may have ended meanwhile.
        reused: bool,
    },
    Http2(Published),
    /// The call goes on elsewhere than where the host was looked up.
    Moved,
}

impl<K> Host<K> {
    pub(super) fn new(uri: Uri, make: impl FnOnce(Uri, Arc<Http2>) -> K) -> Option<Self> {
        let name = target::name(&uri)?;
        let http2 = Arc::<Http2>::default();
        let kept = Mutex::new(make(uri.clone(), Arc::clone(&http2)));
        Some(Self {
            uri,
            name,
            http2,
            kept,
        })
    }

    /// Closes what is closed by the peer or was idle for long. Whether anything is left.
    pub(super) fn sweep(&self, retain: fn(&mut K) -> bool) -> bool {
        let kept = retain(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        self.http2.sweep() || kept
    }

    /// An open connection: the shared one of HTTP/2, one that was kept, a new one, or one that is
    /// given back meanwhile.
    ///
    /// # Cancel safety
    ///
    /// A connection that was found and not used is kept. One that is being made is given up.
    pub(super) async fn checkout<P>(
        mut self: Arc<Self>,
        access: Access<P>,
    ) -> Result<Checkout<K, P>, BoxError>
    where
        K: Service<(), Response = P, Error = NoHttp1>,
        K::Future: Unpin,
        P: Service<()>,
    {
        let (mut ended, mut looked) = (0, false);
        loop {
            let mut waited = false;
            let found = {
                // Before one asks, so that none is missed that is made after that.
                let mut published = pin!(self.http2.published());
                match self.http2.begin(looked) {
                    Kept::Open(sender) => Some(Err(NoHttp1::Http2(Published::before(sender)))),
                    Kept::Rested => {
                        look().await;
                        looked = true;
                        continue;
                    }
                    Kept::Ended => {
                        let kept = self.kept.lock();
                        let mut place = kept.unwrap_or_else(PoisonError::into_inner).call(());
                        let place = poll_fn(|cx| match Pin::new(&mut place).poll(cx) {
                            Poll::Ready(place) => Poll::Ready(Some(place)),
                            Poll::Pending => {
                                waited = true;
                                published.as_mut().poll(cx).map(|()| None)
                            }
                        });
                        place.await
                    }
                }
            };
            match found {
                Some(Ok(place)) => {
                    let mut lent = Box::new(Lent {
                        place,
                        access,
                        host: self,
                    });
                    let connection = lent.connection();
                    // One that was there at once was kept, even if it was made for somebody who then
                    // got another one, and has had no exchange yet.
                    let new = waited && connection.is_fresh();
                    let mut kept = connection.begin(looked);
                    if kept == Kept::Rested {
                        look().await;
                        looked = true;
                        kept = lent.connection().begin(looked);
                    }
                    if let Kept::Open(()) = kept {
                        return Ok(Checkout::Http1 { lent, reused: !new });
                    }
                    // Of new ones a second that ended as soon as it was there is no accident.
                    ended += u32::from(new);
                    if ended > 1 {
                        return Err(PoolError::closed().into());
                    }
                    self = Arc::clone(&lent.host);
                }
                Some(Err(NoHttp1::Http2(published))) => return Ok(Checkout::Http2(published)),
                Some(Err(NoHttp1::Moved)) => return Ok(Checkout::Moved),
                Some(Err(NoHttp1::Failed(error))) => return Err(error),
                None => {}
            }
        }
    }
}

/// A connection of HTTP/1.1 on loan from the cache of its host, which takes it back when this is
/// dropped, if it can be used again.
pub(super) struct Lent<K, P>
where
    P: Service<()>,
{
    place: P,
    access: Access<P>,
    /// Not forgotten while it has connections on loan.
    pub(super) host: Arc<Host<K>>,
}

impl<K, P> Lent<K, P>
where
    P: Service<()>,
{
    pub(super) fn connection(&mut self) -> &mut Http1 {
        (self.access)(&mut self.place)
    }
}

impl<K, P> Drop for Lent<K, P>
where
    P: Service<()>,
{
    fn drop(&mut self) {
        // The place keeps everything but what says by an error that it is spent.
        let _ = self
            .place
            .poll_ready(&mut Context::from_waker(Waker::noop()));
    }
}

/// A connection on loan, whatever it is made of.
pub(super) trait Loan: Send {
    /// The body was read to its end. Dropped without that, the connection is closed.
    fn end(self: Box<Self>);
}

impl<K, P> Loan for Lent<K, P>
where
    K: Send + 'static,
    P: Service<()> + Send + 'static,
{
    fn end(mut self: Box<Self>) {
        let connection = self.connection();
        if connection.is_ready() {
            connection.end();
        } else if let Ok(runtime) = runtime::current() {
            // On another thread hyper is about to come to an end with the exchange, too.
            runtime.spawn(async move {
                let connection = self.connection();
                connection.ready().await;
                connection.end();
            });
        }
    }
}
