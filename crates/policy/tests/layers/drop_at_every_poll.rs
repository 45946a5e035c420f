//! A call with every layer may be dropped at any poll: its units are kept exactly if it may have been sent.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clerk_actor_tokens::{ActorTokenRequest, Body, BoxError, ClientBuilder, SecretKey};
use clerk_actor_tokens_policy::{
    AttributionLayer, AuthorizeLayer, Authorizer, Gate, GateLayer, Limit, LimitBy, MemoryGate,
    MemoryRateLimitStore, RateLimitLayer, RateLimitStore, StoreUnavailable,
    authorize::{Ask, Decision, Narrowing},
    gate::{Pass, Scope},
    rate_limit::{Cell, MemoryReceipt, Taken},
};
use futures_util::poll;
use http::{Request, Response};
use tokio::task::yield_now;
use tower::service_fn;

use crate::setup::{HOUR, call};

const MINTED: &str = r#"{"id":"act_1","user_id":"user_subject","status":"pending"}"#;

/// Stores and an authorizer that are pending once before they respond.
#[derive(Clone)]
struct Slow<T>(T);

impl Authorizer for Slow<()> {
    async fn authorize(&self, _: Ask<'_>) -> Result<Decision, BoxError> {
        yield_now().await;
        Ok(Decision::Allow(Narrowing::default()))
    }
}

impl RateLimitStore for Slow<MemoryRateLimitStore> {
    type Receipt = MemoryReceipt;

    async fn take(&self, cells: &[Cell<'_>]) -> Result<Taken<MemoryReceipt>, StoreUnavailable> {
        yield_now().await;
        self.0.take(cells).await
    }

    fn give_back(&self, receipt: MemoryReceipt) {
        self.0.give_back(receipt);
    }
}

impl Gate for Slow<MemoryGate> {
    async fn pass(
        &self,
        scope: &Scope,
        patience: std::time::Duration,
    ) -> Result<Pass, StoreUnavailable> {
        yield_now().await;
        self.0.pass(scope, patience).await
    }

    fn epoch(&self, scope: &Scope) -> u64 {
        self.0.epoch(scope)
    }

    fn close(&self, scope: &Scope, epoch: u64, retry_after: Option<std::time::Duration>) {
        self.0.close(scope, epoch, retry_after);
    }
}

/// Polls a call this often and drops it. Returns whether it was sent, how many units are left of one, and
/// whether it ended.
async fn dropped_after(polls: usize, request: ActorTokenRequest) -> (bool, usize, bool) {
    let sent = Arc::new(AtomicBool::new(false));
    let transport = service_fn({
        let sent = Arc::clone(&sent);
        move |request: Request<Body>| {
            let sent = Arc::clone(&sent);
            async move {
                yield_now().await;
                request.into_body().into_bytes()?;
                sent.store(true, Ordering::SeqCst);
                yield_now().await;
                Ok::<_, BoxError>(Response::new(MINTED.to_owned()))
            }
        }
    });
    let store = MemoryRateLimitStore::new();
    let limit = Limit::new(LimitBy::Global, NonZeroU32::MIN, HOUR);
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
        .observe_layer(AttributionLayer::new("gateway"))
        .call_layer(AuthorizeLayer::new(Slow(())))
        .call_layer(RateLimitLayer::new(Slow(store.clone()), [limit]))
        .attempt_layer(GateLayer::new(Slow(MemoryGate::new()), "account"))
        .build()
        .unwrap();
    let mut future = Box::pin(client.send(request));
    let mut has_ended = false;
    for _ in 0..polls {
        has_ended |= poll!(&mut future).is_ready();
        if has_ended {
            break;
        }
        // Lets the authorizer's task run.
        yield_now().await;
    }
    drop(future);
    // Whatever goes on in the background may still send it.
    for _ in 0..20 {
        yield_now().await;
    }
    let was_sent = sent.load(Ordering::SeqCst);
    let cell = Cell::new("0:global:", HOUR, 1);
    let left = matches!(store.take(&[cell]).await.unwrap(), Taken::Yes(_));
    (was_sent, left.into(), has_ended)
}

#[tokio::test(start_paused = true)]
async fn units_are_kept_exactly_if_the_call_may_have_been_sent() {
    let mut seen = [0, 0];
    for polls in 0.. {
        assert!(polls < 100, "the call does not end");
        let (was_sent, left, has_ended) = dropped_after(polls, call()).await;
        assert_eq!(left, usize::from(!was_sent), "dropped after {polls} polls");
        seen[usize::from(was_sent)] += 1;
        if has_ended {
            break;
        }
    }
    assert!(seen[0] >= 4 && seen[1] >= 2, "{seen:?}");
}
