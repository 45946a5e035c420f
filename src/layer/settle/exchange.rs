//! The future of [`Settle`](super::Settle). Dropped while a create is in flight, it goes on in the
//! background.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;

use super::obligation::{Collected, Obligation, TokenGuard, Verdict};
use crate::{BoxError, Outcome, TokenResponse, call::Attempt};

type BoxExchange = Pin<Box<Exchange<dyn Future<Output = Collected> + Send>>>;

/// The future of [`Settle`](super::Settle).
pub struct ResponseFuture {
    // Boxed, so that a create can move to a task, and so that the futures above are small.
    exchange: Option<BoxExchange>,
    refusal: Option<BoxError>,
    /// Whether the exchange is being polled. It stays true if that panics.
    polling: bool,
}

pin_project! {
    /// An inner future, and the obligation of the token that it may mint. Dropped, it settles the
    /// token.
    struct Exchange<F: ?Sized> {
        attempt: Attempt,
        // None for a revoke, and once the exchange has ended.
        obligation: Option<Obligation>,
        #[pin]
        future: F,
    }

    impl<F: ?Sized> PinnedDrop for Exchange<F> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(obligation) = this.project().obligation.take() {
                obligation.settle();
            }
        }
    }
}

impl ResponseFuture {
    pub(super) fn new<F>(attempt: Attempt, obligation: Option<Obligation>, future: F) -> Self
    where
        F: Future<Output = Collected> + Send + 'static,
    {
        Self {
            exchange: Some(Box::pin(Exchange {
                attempt,
                obligation,
                future,
            })),
            refusal: None,
            polling: false,
        }
    }

    pub(super) fn refused(refusal: BoxError) -> Self {
        Self {
            exchange: None,
            refusal: Some(refusal),
            polling: false,
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<TokenResponse>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(exchange) = &mut this.exchange else {
            let refusal = this.refusal.take().expect("polled after it was ready");
            return Poll::Ready(Err(refusal));
        };
        this.polling = true;
        let polled = exchange.as_mut().project().future.poll(cx);
        this.polling = false;
        let result = ready!(polled);
        let obligation = exchange.as_mut().project().obligation.take();
        this.exchange = None;
        let Some(mut obligation) = obligation else {
            return Poll::Ready(result.map(|response| response.map(TokenResponse::new)));
        };
        obligation.learn(&result);
        Poll::Ready(match result {
            Ok(response) if response.status() == StatusCode::OK => {
                let guard = Arc::new(TokenGuard::new(obligation));
                Ok(response.map(|bytes| TokenResponse::guarded(bytes, guard)))
            }
            result => {
                obligation.settle();
                result.map(|response| response.map(TokenResponse::new))
            }
        })
    }
}

impl Drop for ResponseFuture {
    fn drop(&mut self) {
        let Some(mut exchange) = self.exchange.take() else {
            return;
        };
        // A future that panicked is not polled again.
        if self.polling {
            if !exchange.attempt.withdraw() {
                exchange.attempt.end(Outcome::Unknown);
            }
            return;
        }
        let obligation = exchange.as_mut().project().obligation;
        if obligation
            .as_mut()
            .is_some_and(|it| it.judge() == Verdict::Pending)
        {
            follow(exchange);
        }
    }
}

/// Waits in the background for the response of a create whose caller is gone.
fn follow(mut exchange: BoxExchange) {
    let Some(obligation) = &exchange.obligation else {
        return;
    };
    let (settler, runtime) = (
        Arc::clone(obligation.settler()),
        obligation.runtime().clone(),
    );
    exchange.attempt.set_followed(true);
    let (cut, grace) = (settler.cut(), settler.grace());
    settler.spawn(&runtime, async move {
        let response = poll_fn(|cx| exchange.as_mut().project().future.poll(cx));
        let response = tokio::time::timeout(grace, response);
        let response = cut.run_until_cancelled(response).await;
        let is_cut = response.is_none();
        if let Some(mut obligation) = exchange.as_mut().project().obligation.take() {
            if let Some(Ok(result)) = &response {
                obligation.learn(result);
            }
            if is_cut {
                // There is no time left to revoke the token, so it is reported.
                drop(obligation);
            } else {
                obligation.settle();
            }
        }
        exchange.attempt.end(Outcome::Unknown);
        exchange.attempt.set_followed(false);
    });
}

impl fmt::Debug for ResponseFuture {
    /// Shows nothing of the inner future, which may hold a response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("refusal", &self.refusal)
            .finish_non_exhaustive()
    }
}
