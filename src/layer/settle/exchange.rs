//! [`Exchange`], a create on its way. Dropped, it goes on in the background.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    evidence::Evidence,
    minted::Minted,
    settler::{Custody, unless, within},
    unsettled::Unsettled,
};
use crate::{ActorToken, BoxError, Outcome, call::Attempt};

pub(super) type Answer = Result<Response<Full<Bytes>>, BoxError>;

/// A create on its way. Dropped, it goes on in the background.
pub(super) struct Exchange(Option<Running>);

type Running = Pin<Box<Held<dyn Future<Output = Answer> + Send>>>;

pin_project! {
    /// The future of a create and what it takes to settle what it mints, in one allocation that can
    /// be moved to a task.
    struct Held<F: ?Sized> {
        attempt: Attempt,
        // Taken when the exchange has ended.
        unsettled: Option<Unsettled>,
        // Taken along by whoever answers for the token.
        permit: Option<TaskTrackerToken>,
        // Set while the future is polled: one that panicked is not polled again.
        polling: bool,
        #[pin]
        future: F,
    }

    impl<F: ?Sized> PinnedDrop for Held<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(unsettled) = this.unsettled.take() {
                // Its runtime has ended, so there is nothing left to do but tell what came of it.
                drop(Evidence::so_far(this.attempt).judge(unsettled));
            }
        }
    }
}

pin_project! {
    /// The future of a create, with errors of one type.
    struct OneError<F> {
        #[pin]
        future: F,
    }
}

impl<F, E> Future for OneError<F>
where
    F: Future<Output = Result<Response<Full<Bytes>>, E>>,
    E: Into<BoxError>,
{
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.project().future.poll(cx).map_err(Into::into)
    }
}

impl<F: Future<Output = Answer> + ?Sized> Held<F> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = self.project();
        *this.polling = true;
        let answer = this.future.poll(cx);
        *this.polling = false;
        answer
    }
}

impl<F: ?Sized> Held<F> {
    fn settle(self: Pin<&mut Self>) -> Unsettled {
        self.project().unsettled.take().expect("settled once")
    }
}

impl Exchange {
    pub(super) fn new<F, E>(custody: Custody, future: F) -> Self
    where
        F: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let admitted = custody.sent();
        Self(Some(Box::pin(Held {
            attempt: admitted.attempt,
            unsettled: Some(admitted.unsettled),
            permit: Some(admitted.permit),
            polling: false,
            future: OneError { future },
        })))
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let running = self.0.as_mut().expect("polled after it was ready");
        let polled = running.as_mut().poll(cx);
        let Poll::Ready(answer) = &polled else {
            return Poll::Pending;
        };
        if let Some(mut ended) = self.0.take() {
            let unsettled = ended.as_mut().settle();
            let evidence = Evidence::of(answer, &ended.attempt);
            evidence.report_others(&ended.attempt, &unsettled);
            match evidence {
                // Whoever gets the answer gets the token.
                Evidence::Answer(body) if answer.is_ok() => {
                    let permit = ended.as_mut().project().permit.take();
                    let guard = Minted::new(unsettled, body, permit);
                    ended.attempt.progress().guard(Arc::new(guard));
                }
                evidence => {
                    // A retry that stands in between may go on: what is known of this one is noted.
                    match evidence {
                        Evidence::None if ended.attempt.status().is_none() => {}
                        Evidence::None => ended.attempt.end(Outcome::Rejected),
                        _ => ended.attempt.end(Outcome::Unknown),
                    }
                    evidence.settle(unsettled);
                }
            }
        }
        polled
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(mut running) = self.0.take() else {
            return;
        };
        let attempt = running.attempt.clone();
        if !attempt.withdraw_unseen() {
            // It was never sent and never will be.
            return running.as_mut().settle().nothing();
        }
        match attempt.status() {
            _ if running.polling => {
                // It panicked: nobody follows it.
                attempt.end(Outcome::Unknown);
                Evidence::so_far(&attempt).settle(running.as_mut().settle());
            }
            // What is known of one exchange says nothing of another.
            _ if attempt.has_unseen() => follow(running),
            None => follow(running),
            Some(StatusCode::OK) => {
                // What is left of the answer is not needed once it has told the id.
                let read = attempt.read().snapshot();
                match ActorToken::salvage_id(&read) {
                    Some(id) => {
                        attempt.progress().note_lost(id);
                        Evidence::Answer(read).settle(running.as_mut().settle());
                    }
                    None => follow(running),
                }
            }
            Some(_) => Evidence::so_far(&attempt).settle(running.as_mut().settle()),
        }
    }
}

/// Waits in the background for the answer that nobody else waits for any more.
fn follow(mut running: Running) {
    let Some(unsettled) = &running.unsettled else {
        return;
    };
    let (settler, runtime) = (Arc::clone(unsettled.settler()), unsettled.runtime().clone());
    let (cut, grace) = (settler.cut(), settler.grace());
    settler.spawn(&runtime, async move {
        let mut cut = pin!(cut);
        let answer = poll_fn(|cx| {
            // A panic ends the exchange, and nothing else: here is nobody whom it could reach.
            let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
            polled.map_or(Poll::Ready(None), |answer| answer.map(Some))
        });
        let answer = unless(cut.as_mut(), within(grace, answer)).await;
        let is_cut = answer.is_none();
        let evidence = match answer.flatten().flatten() {
            Some(answer) => Evidence::of(&answer, &running.attempt),
            // It took too long, or panicked; what came of it may do.
            None => Evidence::so_far(&running.attempt),
        };
        let unsettled = running.as_mut().settle();
        evidence.report_others(&running.attempt, &unsettled);
        let left = evidence.judge(unsettled);
        // Whatever the exchange holds, a connection for one, is free for the revoke. A panic is no more
        // than one above.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(running)));
        match left {
            Some(token) if !is_cut => token.revoked(cut).await,
            // There is no time left to revoke anything, so it is reported.
            left => drop(left),
        }
    });
}
