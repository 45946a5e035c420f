//! The future of [`Settle`](super::Settle). If it is dropped while a create is in flight, the exchange
//! continues in the background.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;

use super::obligation::{Collected, TokenGuard};
use crate::{BoxError, Outcome, TokenResponse, actor_token::Guard, call::Attempt};

type BoxExchange = Pin<Box<Exchange<dyn Future<Output = Collected> + Send>>>;

/// The future of [`Settle`](super::Settle).
pub struct ResponseFuture {
    // Boxed, so that a create can move to a task and the futures above stay small.
    // `None` during a poll, so that an exchange that panicked is not followed, and once it has ended.
    exchange: Option<BoxExchange>,
}

pin_project! {
    /// An inner future, and the guard of the token that it may mint. Dropping it settles the token.
    struct Exchange<F: ?Sized> {
        attempt: Attempt,
        // None for a revoke, and once the exchange has ended.
        guard: Option<Arc<TokenGuard>>,
        #[pin]
        future: F,
    }

    impl<F: ?Sized> PinnedDrop for Exchange<F> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(guard) = this.project().guard.take() {
                guard.settle();
            }
        }
    }
}

impl ResponseFuture {
    pub(super) fn new<F>(attempt: Attempt, guard: Option<Arc<TokenGuard>>, future: F) -> Self
    where
        F: Future<Output = Collected> + Send + 'static,
    {
        let exchange = Exchange {
            attempt,
            guard,
            future,
        };
        Self {
            exchange: Some(Box::pin(exchange)),
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<TokenResponse>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut exchange = self.exchange.take().expect("polled after it was ready");
        let Poll::Ready(result) = exchange.as_mut().project().future.poll(cx) else {
            self.exchange = Some(exchange);
            return Poll::Pending;
        };
        let guard = exchange.as_mut().project().guard.take();
        drop(exchange);
        let Some(guard) = guard else {
            return Poll::Ready(result.map(|response| response.map(TokenResponse::new)));
        };
        guard.learn(&result);
        Poll::Ready(match result {
            Ok(response) if response.status() == StatusCode::OK => {
                Ok(response.map(|bytes| TokenResponse {
                    guard: Some(guard),
                    ..TokenResponse::new(bytes)
                }))
            }
            result => {
                guard.settle();
                result.map(|response| response.map(TokenResponse::new))
            }
        })
    }
}

impl Drop for ResponseFuture {
    fn drop(&mut self) {
        let is_pending = |it: &mut BoxExchange| it.guard.as_ref().is_some_and(|it| it.is_pending());
        if let Some(exchange) = self.exchange.take_if(is_pending) {
            follow(exchange);
        }
    }
}

/// Waits in the background for the response to a dropped create.
fn follow(mut exchange: BoxExchange) {
    let Some((settler, runtime)) = exchange.guard.as_ref().and_then(|it| it.background()) else {
        return;
    };
    exchange.attempt.set_followed(true);
    let (cut, grace) = (settler.cut(), settler.config.grace);
    settler.spawn(&runtime, async move {
        let response = poll_fn(|cx| exchange.as_mut().project().future.poll(cx));
        let response = tokio::time::timeout(grace, response);
        let response = cut.run_until_cancelled(response).await;
        let is_cut = response.is_none();
        if let Some(guard) = exchange.as_mut().project().guard.take() {
            if let Some(Ok(result)) = &response {
                guard.learn(result);
            }
            match is_cut {
                // No time is left to revoke the token.
                true => drop(guard.take()),
                false => guard.settle(),
            }
        }
        exchange.attempt.end(Outcome::Unknown);
        exchange.attempt.set_followed(false);
    });
}

crate::text::opaque_debug!(ResponseFuture);
