//! [`Http1`], one connection of HTTP/1.1.

use std::{
    future::{Ready, poll_fn, ready},
    task::{Context, Poll},
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Builder, SendRequest},
    },
    rt::{Read, Write},
};
use tokio::time::Instant;
use tower_service::Service;

use super::{
    IDLE, PoolError,
    kept::{Kept, RESTED},
};
use crate::Body;

/// The sending half; the other is a task that ends with the connection.
pub(super) struct Http1 {
    sender: SendRequest<Body>,
    /// Whether it is of no use for another exchange, such as while one is under way.
    spent: bool,
    /// Whether it has had no exchange yet.
    fresh: bool,
    /// When it has rested since it was made, or its last exchange began.
    rested_at: Instant,
}

impl Http1 {
    /// A connection that is ready for its first request.
    pub(super) async fn handshake<I>(io: I) -> Result<Self, PoolError>
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let (mut sender, connection) = Builder::new()
            // A request is small: to write it in one piece is cheaper than to say where its pieces are.
            .writev(false)
            .handshake(io)
            .await
            .map_err(PoolError::handshake)?;
        // Boxed, for it outgrows this future by far.
        let mut connection = Box::pin(connection);
        for seen in [false, true] {
            poll_fn(|cx| match connection.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => Poll::Ready(Err(PoolError::closed())),
                Poll::Ready(Err(error)) => Poll::Ready(Err(PoolError::handshake(error))),
                Poll::Pending => sender.poll_ready(cx).map_err(PoolError::handshake),
            })
            .await?;
            // A peer that closes at once is seen to do so before anything is sent.
            if !seen {
                tokio::task::yield_now().await;
            }
        }
        // Whoever has an exchange under way hears of its end by that.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            sender,
            spent: false,
            fresh: true,
            rested_at: Instant::now() + RESTED,
        })
    }

    /// Whether a request can be sent: its last exchange is over, the peer is not known to have closed
    /// it, and it was not kept for too long.
    pub(super) fn is_open(&mut self) -> bool {
        self.is_open_at(Instant::now())
    }

    /// The same, for who sends one now, and has or has not `looked`.
    pub(super) fn begin(&mut self, looked: bool) -> Kept<()> {
        let now = Instant::now();
        if !self.is_open_at(now) {
            return Kept::Ended;
        }
        if now > self.rested_at && !looked {
            return Kept::Rested;
        }
        self.rested_at = now + RESTED;
        Kept::Open(())
    }

    fn is_open_at(&mut self, now: Instant) -> bool {
        self.spent |= !self.sender.is_ready() || self.is_stale_at(now);
        !self.spent
    }

    fn is_stale_at(&self, now: Instant) -> bool {
        now > self.rested_at && now.saturating_duration_since(self.rested_at) >= IDLE - RESTED
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) fn send(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>> + use<> {
        self.spent = true;
        self.sender.try_send_request(request)
    }

    /// Whether it is ready for another request, the last answer having been read to its end.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until it is, or has ended.
    pub(super) async fn ready(&mut self) {
        let _ended = poll_fn(|cx| self.sender.poll_ready(cx)).await;
    }

    /// It is ready, and from now on idle.
    pub(super) fn end(&mut self) {
        self.spent = false;
        self.fresh = false;
    }
}

/// It is no longer of use.
#[derive(Debug)]
pub(super) struct Spent;

/// For the cache, which takes back what is ready.
impl Service<()> for Http1 {
    type Response = ();
    type Error = Spent;
    type Future = Ready<Result<(), Spent>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Spent>> {
        let spent = self.spent || !self.sender.is_ready();
        Poll::Ready(if spent { Err(Spent) } else { Ok(()) })
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}
