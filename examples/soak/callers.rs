//! [`Caller`]s that run at the same time, each making one call after the other.

use std::{
    future::{Future, poll_fn},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use clerk_actor_tokens::{BaseUrl, BoxError, SecretKey};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    PATIENCE,
    args::Args,
    books::{Books, Create},
    ending::{Ending, Plan},
    progress::Progress,
};

/// A client, as its callers see it.
pub(crate) trait Caller: Clone + Send + Sync + 'static {
    type Token: Send;

    fn new(
        base_url: &BaseUrl,
        key: SecretKey,
        args: &Args,
        books: &Books,
    ) -> Result<Self, BoxError>;

    /// Mints a token within `limit`.
    fn create(
        &self,
        create: Create,
        limit: Duration,
    ) -> impl Future<Output = Result<Self::Token, BoxError>> + Send;

    /// Returns whether an error states that nothing was minted.
    fn rules_out(error: &BoxError) -> bool;

    /// Reads the credential, and returns the id of the token.
    fn read(token: Self::Token) -> String;

    /// Waits for the background tasks.
    fn drain(&self) -> impl Future<Output = ()> + Send;
}

/// Makes these calls.
pub(crate) async fn run<C: Caller>(
    client: C,
    calls: Range<u64>,
    args: &Args,
    books: &Books,
    progress: &Progress,
) {
    let callers = Callers {
        client,
        books: books.clone(),
        latency: Arc::default(),
    };
    let (next, seed) = (Arc::new(AtomicU64::new(calls.start)), args.seed);
    let mut tasks = JoinSet::new();
    for _ in 0..args.concurrency {
        let (callers, next, progress) = (callers.clone(), next.clone(), progress.clone());
        tasks.spawn(async move {
            loop {
                let call = next.fetch_add(1, Ordering::Relaxed);
                if call >= calls.end {
                    return;
                }
                callers.call(call, Plan::of(seed, call)).await;
                progress.advance();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

#[derive(Clone)]
struct Callers<C> {
    client: C,
    books: Books,
    latency: Arc<Median>,
}

impl<C: Caller> Callers<C> {
    async fn call(&self, call: u64, plan: Plan) {
        let (create, rival) = (Create(2 * call), Create(2 * call + 1));
        let time = self.latency.get().mul_f64(2.0 * plan.share);
        match (plan.ending, plan.polls) {
            (Ending::Read, _) => {
                let begun = Instant::now();
                self.create_and_read(create).await;
                self.latency.note(begun.elapsed());
            }
            (Ending::Dropped, Some(polls)) => {
                up_to(polls, self.create_and_read(create)).await;
            }
            (Ending::Dropped, None) => tokio::select! {
                () = self.create_and_read(create) => {}
                () = sleep(time) => {}
            },
            (Ending::TimedOut, _) => {
                let _ = timeout(time, self.create_and_read(create)).await;
            }
            (Ending::OutOfTime, _) => {
                self.create_and_read_within(create, time).await;
            }
            (Ending::Aborted, _) => {
                let callers = self.clone();
                let task = tokio::spawn(async move { callers.create_and_read(create).await });
                sleep(time).await;
                task.abort();
                let _ = task.await;
            }
            (Ending::Raced, _) => tokio::select! {
                () = self.create_and_read(create) => {}
                () = self.create_and_read(rival) => {}
            },
            (Ending::Unread, _) => drop(self.create(create, PATIENCE).await),
        }
    }

    async fn create(&self, create: Create, limit: Duration) -> Option<C::Token> {
        self.books.begin();
        match self.client.create(create, limit).await {
            Ok(token) => {
                self.books.succeed();
                Some(token)
            }
            Err(error) => {
                self.books.fail(create, C::rules_out(&error));
                None
            }
        }
    }

    async fn create_and_read(&self, create: Create) {
        self.create_and_read_within(create, PATIENCE).await;
    }

    async fn create_and_read_within(&self, create: Create, limit: Duration) {
        if let Some(token) = self.create(create, limit).await {
            // A cancellation cannot come in between, because there is no await.
            self.books.read(C::read(token));
        }
    }
}

/// Drops `future` after this number of polls, unless it ends before.
async fn up_to(polls: u32, future: impl Future<Output = ()>) {
    let (mut future, mut left) = (std::pin::pin!(future), polls);
    poll_fn(|cx| {
        let Some(rest) = left.checked_sub(1) else {
            return Poll::Ready(());
        };
        left = rest;
        let polled = future.as_mut().poll(cx);
        // After the last poll the future is dropped.
        if left == 0 { Poll::Ready(()) } else { polled }
    })
    .await;
}

/// An estimate of the median latency. Each latency moves it a little to its side.
struct Median(AtomicU64);

impl Default for Median {
    fn default() -> Self {
        Self(AtomicU64::new(2_000))
    }
}

impl Median {
    fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn note(&self, latency: Duration) {
        let now = self.0.load(Ordering::Relaxed);
        let step = now / 64 + 1;
        let moved = if latency.as_micros() > u128::from(now) {
            now + step
        } else {
            now.saturating_sub(step)
        };
        self.0.store(moved, Ordering::Relaxed);
    }
}
