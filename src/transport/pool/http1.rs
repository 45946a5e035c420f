//! [`Http1`], one connection of HTTP/1.1, which goes on only while somebody polls it.
//!
//! It has no task of its own: whoever waits for an answer drives it, so that no exchange costs a
//! switch between tasks. What its parts deliver can come from nowhere but [`Http1::drive`], which is
//! why they are polled without a waker.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
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

use super::{IDLE, PoolError};
use crate::Body;

pub(super) struct Http1 {
    sender: SendRequest<Body>,
    /// `None` once it has ended; dropped then, for that is what tells those who wait.
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    /// Whether it is of no use for another exchange, such as while one is under way.
    spent: bool,
    /// Whether it has had no exchange yet.
    fresh: bool,
    idle_since: Instant,
}

impl Http1 {
    /// A connection that is ready for its first request.
    pub(super) async fn handshake<I>(io: I) -> Result<Self, PoolError>
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let (mut sender, connection) = Builder::new()
            .handshake(io)
            .await
            .map_err(PoolError::handshake)?;
        let mut connection = Box::pin(connection);
        for seen in [false, true] {
            std::future::poll_fn(|cx| match connection.as_mut().poll(cx) {
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
        Ok(Self {
            sender,
            connection: Some(connection),
            spent: false,
            fresh: true,
            idle_since: Instant::now(),
        })
    }

    /// Reads and writes as much as there is to. With a waker that does nothing it only looks.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection {
            if connection.as_mut().poll(cx).is_ready() {
                self.connection = None;
            }
        }
    }

    /// Whether a request can be sent: its last exchange is over, the peer is not known to have closed
    /// it, and it was not kept for too long.
    pub(super) fn is_ready(&mut self) -> bool {
        self.spent |= !self.sender.is_ready() || self.idle_since.elapsed() >= IDLE;
        !self.spent
    }

    /// The same, having looked for what the peer did meanwhile.
    pub(super) fn is_open(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.is_ready()
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        self.spent = true;
        let mut answer = pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            self.drive(cx);
            answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// The answer was read to its end.
    pub(super) fn end(&mut self) {
        if !self.sender.is_ready() {
            // What is left after the body may be there already.
            self.drive(&mut Context::from_waker(Waker::noop()));
        }
        self.spent = !self.sender.is_ready();
        self.fresh = false;
        self.idle_since = Instant::now();
    }
}

/// It is no longer of use.
#[derive(Debug)]
pub(super) struct Spent;

/// For the cache, which takes back what is ready.
impl Service<()> for Http1 {
    type Response = ();
    type Error = Spent;
    type Future = std::future::Ready<Result<(), Spent>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Spent>> {
        let spent = self.spent || !self.sender.is_ready();
        Poll::Ready(if spent { Err(Spent) } else { Ok(()) })
    }

    fn call(&mut self, (): ()) -> Self::Future {
        std::future::ready(Ok(()))
    }
}

/// A connection on loan, whatever it is made of.
pub(super) trait Loan: Send {
    /// Lets the connection go on, for what an answer's body waits for.
    fn drive(&mut self, cx: &mut Context<'_>);

    /// Gives the connection back: the body was read to its end. Otherwise it is closed when dropped.
    fn end(self: Box<Self>);
}

/// Polls what a connection on loan delivers.
pub(super) fn poll_driven<T>(
    loan: &mut dyn Loan,
    cx: &mut Context<'_>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let mut unwoken = Context::from_waker(Waker::noop());
    // Asking comes first: the connection reads no more of a body than it is asked for.
    if let Poll::Ready(done) = poll(&mut unwoken) {
        return Poll::Ready(done);
    }
    loan.drive(cx);
    Poll::Ready(ready!(poll(&mut unwoken)))
}
