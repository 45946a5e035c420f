//! What holds for time-outs inside each other.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::{ResponseFuture, Scope, TimedOut};
use crate::BoxError;

const ATTEMPT: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(30);

fn attempt<F>(inner: F) -> ResponseFuture<F> {
    ResponseFuture::new(Some(inner), None, ATTEMPT, Scope::Attempt)
}

fn call<F>(inner: F) -> ResponseFuture<F> {
    let deadline = Instant::now().checked_add(CALL);
    ResponseFuture::new(Some(inner), Some(deadline), CALL, Scope::Call)
}

fn endless() -> impl Future<Output = Result<(), BoxError>> + Send {
    pending()
}

/// Whose time ran out, and after how long.
async fn time_of<T>(future: impl Future<Output = Result<T, BoxError>>) -> (Scope, Duration) {
    let begun = Instant::now();
    let error = future.await.map(drop).unwrap_err();
    let timed_out = error.downcast::<TimedOut>().unwrap();
    (timed_out.scope(), begun.elapsed())
}

/// Polls with a waker of its own.
struct Elsewhere {
    wakes: AtomicU32,
    outside: Waker,
}

impl Elsewhere {
    async fn poll<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let mut own = None;
        poll_fn(|cx| {
            let outside = cx.waker().clone();
            let wakes = AtomicU32::new(0);
            let own = own.get_or_insert_with(|| Arc::new(Self { wakes, outside }));
            let waker = Waker::from(Arc::clone(own));
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() {
                assert!(own.wakes.load(Ordering::Relaxed) > 0);
            }
            polled
        })
        .await
    }
}

impl Wake for Elsewhere {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.outside.wake_by_ref();
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_deadlines_each_holds() {
    assert_eq!(
        time_of(call(attempt(endless()))).await,
        (Scope::Attempt, ATTEMPT)
    );
    let attempts = async {
        while attempt(endless()).await.is_err() {}
        Ok::<(), BoxError>(())
    };
    assert_eq!(time_of(call(attempts)).await, (Scope::Call, CALL));
    let slow = async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        attempt(endless()).await
    };
    let after_slow = time_of(call(slow)).await;
    assert_eq!(after_slow, (Scope::Attempt, Duration::from_secs(25)));
}

#[tokio::test(start_paused = true)]
async fn time_outs_inside_each_other_share_one_timer() {
    let mut outer = pin!(call(attempt(endless())));
    assert!(futures_util::poll!(outer.as_mut()).is_pending());
    assert!(outer.has_timer() && !outer.inner.as_ref().unwrap().has_timer());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_woken_otherwise_has_a_timer_of_its_own() {
    let elsewhere = Elsewhere::poll(attempt(endless()));
    assert_eq!(time_of(call(elsewhere)).await, (Scope::Attempt, ATTEMPT));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_carried_to_another_task_ends_in_time() {
    let carried = async {
        let mut attempt = Box::pin(attempt(endless()));
        assert!(futures_util::poll!(attempt.as_mut()).is_pending());
        tokio::spawn(attempt).await?
    };
    assert_eq!(time_of(call(carried)).await, (Scope::Attempt, ATTEMPT));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_outlives_its_call_ends_in_time() {
    let begun = Instant::now();
    let mut attempt = pin!(attempt(endless()));
    let seen = call(async { Ok::<_, BoxError>(futures_util::poll!(attempt.as_mut())) }).await;
    assert!(seen.unwrap().is_pending());
    assert!(attempt.await.is_err());
    assert_eq!(begun.elapsed(), ATTEMPT);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_not_polled_does_not_hold_up_its_call() {
    let held = async {
        let mut attempt = pin!(attempt(endless()));
        let _ = futures_util::poll!(attempt.as_mut());
        endless().await
    };
    assert_eq!(time_of(call(held)).await, (Scope::Call, CALL));

    let late = async {
        let mut attempt = pin!(attempt(endless()));
        let _ = futures_util::poll!(attempt.as_mut());
        tokio::time::sleep(Duration::from_secs(20)).await;
        attempt.await
    };
    let late = time_of(call(late)).await;
    assert_eq!(late, (Scope::Attempt, Duration::from_secs(20)));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_on_when_its_call_has_ended_is_woken() {
    let wakes = AtomicU32::new(0);
    let outside = Waker::noop().clone();
    let own = Arc::new(Elsewhere { wakes, outside });
    let waker = Waker::from(Arc::clone(&own));
    let mut cx = Context::from_waker(&waker);
    let mut attempt = pin!(attempt(endless()));
    let mut call = pin!(call(async {
        Ok::<_, BoxError>(futures_util::poll!(attempt.as_mut()))
    }));
    assert!(call.as_mut().poll(&mut cx).is_ready());
    assert_eq!(own.wakes.load(Ordering::Relaxed), 1);
}
