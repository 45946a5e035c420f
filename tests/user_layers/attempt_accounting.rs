//! Users' attempt layers: tower's retry with a user's policy, tower's hedge under a buffer, spawned
//! attempts and attempts that are begun by hand. Every token is returned, revoked or reported. Long,
//! because a promise has one file.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, BoxError, CallWatch, Client, ClientBuilder, Error, ErrorKind,
    OperationKind, Outcome, Payload, RetryConfig, SecretKey, TokenResponse,
    client::{AttemptService, CustomTransport, Layers, SettleCounts},
};
use futures_util::FutureExt;
use http::{Request, Response};
use tokio::{task::JoinHandle, time::Sleep};
use tower::{
    Service,
    buffer::BufferLayer,
    layer::layer_fn,
    retry::{Policy, RetryLayer},
};

use crate::{
    LONG, SECOND, claim,
    support::{
        peer::{self, Delay, Effect, Exchange, Head, Peer, numbered},
        tower_policies,
    },
};

type AttemptResult = Result<Response<TokenResponse>, BoxError>;
type AttemptFuture = Pin<Box<dyn Future<Output = AttemptResult> + Send>>;

/// How many tokens that were minted were not returned, by their end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lost {
    revoked: usize,
    reported: usize,
}

fn revoked(revoked: usize) -> Lost {
    Lost {
        revoked,
        ..Lost::default()
    }
}

fn reported(reported: usize) -> Lost {
    Lost {
        reported,
        ..Lost::default()
    }
}

/// Returns a builder over a peer that responds to creates with `plans`, one after the other, and then
/// with 200s. Every revoke takes a second.
fn over(plans: &[Exchange]) -> (Peer, ClientBuilder<Layers, CustomTransport<Peer>>) {
    let plans = plans.to_vec();
    let peer = Peer::new(move |received| match received.kind {
        OperationKind::Create => {
            let plan = plans.get(received.earlier).cloned();
            plan.unwrap_or_else(Exchange::prompt)
        }
        _ => after(SECOND),
    });
    let key = SecretKey::new("sk_test_1").unwrap();
    (peer.clone(), ClientBuilder::over(key, peer))
}

/// Returns a 200 whose head arrives after this time. The token is minted at once.
fn after(time: Duration) -> Exchange {
    Exchange {
        before_head: Delay::time(time),
        ..Exchange::prompt()
    }
}

/// Returns a 503 to a create that mints a token.
fn unavailable() -> Exchange {
    Exchange {
        effect: Effect::WhenTaken,
        ..Exchange::refusal(503, None)
    }
}

fn watched(request: ActorTokenRequest) -> (ActorTokenRequest, CallWatch) {
    let mut request = numbered(request);
    let watch = request.watch();
    (request, watch)
}

fn create() -> (ActorTokenRequest, CallWatch) {
    watched(peer::create())
}

fn revoke() -> (ActorTokenRequest, CallWatch) {
    watched(ActorTokenRequest::revoke("act_9".parse().unwrap()))
}

/// Creates a token and claims it.
async fn claimed(client: &Client) -> (ActorToken, CallWatch) {
    let (request, watch) = create();
    let token = client.send(request).await.unwrap();
    claim(&token);
    (token, watch)
}

/// Checks that the peer minted the tokens that the client returned, and as many others as it revoked or reported.
#[track_caller]
fn check(peer: &Peer, counts: SettleCounts, returned: &[&ActorToken], expected: Lost) {
    let ledger = peer.ledger();
    for token in returned {
        assert!(!ledger.is_revoked(token.id().as_str()), "{token:?}");
    }
    let minted: Vec<_> = ledger.minted().collect();
    let is_revoked = |id: &str| ledger.is_revoked(id);
    let revoked = minted.iter().filter(|it| is_revoked(&it.id)).count();
    assert_eq!(counts.revoked as usize, revoked);
    let reported = (counts.total() - counts.revoked) as usize;
    assert_eq!(Lost { revoked, reported }, expected);
    assert_eq!(minted.len(), returned.len() + revoked + reported);
}

async fn drained(client: &Client) -> SettleCounts {
    let report = client.drain(LONG).await;
    assert!(report.is_complete(), "{report:?}");
    report.counts()
}

/// A user's policy: retries errors that `retries` accepts, at most twice, after a backoff of a second.
#[derive(Clone)]
struct UserPolicy {
    left: u32,
    retries: fn(&Error) -> bool,
}

impl UserPolicy {
    fn layer(retries: fn(&Error) -> bool) -> RetryLayer<Self> {
        RetryLayer::new(Self { left: 2, retries })
    }
}

impl Policy<Request<Payload>, Response<TokenResponse>, BoxError> for UserPolicy {
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Payload>,
        result: &mut AttemptResult,
    ) -> Option<Sleep> {
        let error = result.as_ref().err()?.downcast_ref::<Error>()?;
        assert_eq!(error.attempts(), request.body().attempts());
        let is_retried = self.left > 0 && (self.retries)(error);
        is_retried.then(|| {
            self.left -= 1;
            tokio::time::sleep(SECOND)
        })
    }

    fn clone_request(&mut self, request: &Request<Payload>) -> Option<Request<Payload>> {
        Some(request.clone())
    }
}

fn without_effect(error: &Error) -> bool {
    error.outcome().is_without_effect()
}

fn always(_: &Error) -> bool {
    true
}

fn with_policy(plans: &[Exchange], retries: fn(&Error) -> bool) -> (Peer, Client) {
    let (peer, builder) = over(plans);
    let client = builder
        .retry(RetryConfig::disabled())
        .attempt_layer(UserPolicy::layer(retries));
    (peer, client.build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn retry_layer_of_tower_retries_as_its_policy_says() {
    let rejected = || Exchange::refusal(429, None);
    for (plans, attempts) in [
        (vec![], 1),
        (vec![rejected()], 2),
        (vec![rejected(), rejected()], 3),
    ] {
        let (peer, client) = with_policy(&plans, without_effect);
        let (token, watch) = claimed(&client).await;
        assert_eq!(
            (watch.attempts(), watch.outcome()),
            (attempts, Outcome::Applied)
        );
        check(&peer, drained(&client).await, &[&token], Lost::default());
    }

    let (peer, client) = with_policy(&[rejected(), rejected(), rejected()], without_effect);
    let (request, watch) = create();
    let error = client.send(request).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Rejected, 3));
    assert_eq!((watch.outcome(), watch.attempts()), (Outcome::Rejected, 3));
    check(&peer, drained(&client).await, &[], Lost::default());
}

#[tokio::test(start_paused = true)]
async fn policy_that_stops_at_an_unknown_outcome_mints_once() {
    let (peer, client) = with_policy(&[unavailable()], without_effect);
    let (request, watch) = create();
    let error = client.send(request).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1));
    assert_eq!(watch.attempts(), 1);
    check(&peer, drained(&client).await, &[], reported(1));
}

#[tokio::test(start_paused = true)]
async fn policy_that_replays_an_unknown_create_loses_no_token() {
    // The first token is reported, because the response does not hold its id.
    let (peer, client) = with_policy(&[unavailable()], always);
    let (token, watch) = claimed(&client).await;
    assert_eq!(watch.attempts(), 2);
    check(&peer, drained(&client).await, &[&token], reported(1));

    // The first attempt times out and is followed, so that its token is revoked.
    let (peer, client) = with_policy(&[after(20 * SECOND)], always);
    let (token, watch) = claimed(&client).await;
    assert_eq!(watch.attempts(), 2);
    assert!(watch.is_settling());
    check(&peer, drained(&client).await, &[&token], revoked(1));
    assert!(!watch.is_settling());

    // The rejection of the last attempt does not hide an earlier one that may have taken effect.
    let (peer, client) = with_policy(&[unavailable(), Exchange::refusal(422, None)], |error| {
        error.outcome() == Outcome::Unknown
    });
    let (request, _) = create();
    let error = client.send(request).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 2));
    check(&peer, drained(&client).await, &[], reported(1));
}

#[tokio::test(start_paused = true)]
async fn call_cancelled_or_timed_out_in_the_backoff_of_a_policy_sends_nothing_more() {
    let half = SECOND / 2;
    let (peer, client) = with_policy(&[Exchange::refusal(429, None)], always);
    let (request, watch) = create();
    assert!(
        tokio::time::timeout(half, client.send(request))
            .await
            .is_err()
    );
    assert_eq!((watch.outcome(), watch.attempts()), (Outcome::Rejected, 1));
    check(&peer, drained(&client).await, &[], Lost::default());
    assert_eq!(peer.ledger().creates.len(), 1);

    let (peer, client) = with_policy(&[Exchange::refusal(429, None)], always);
    let (request, _) = create();
    let error = client.send(request.timeout(half)).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Rejected, 1));
    check(&peer, drained(&client).await, &[], Lost::default());
    assert_eq!(peer.ledger().creates.len(), 1);
}

/// Returns a client whose attempts are hedged. tower's `Hedge` is not `Clone`, so a buffer is above it.
fn hedged(plans: &[Exchange]) -> (Peer, Client) {
    let (peer, builder) = over(plans);
    let client = builder
        .attempt_layer(BufferLayer::new(8))
        .attempt_layer(layer_fn(tower_policies::hedged::<_, Request<Payload>>));
    (peer, client.build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn fast_attempt_is_not_hedged() {
    let (peer, client) = hedged(&[]);
    let (token, watch) = claimed(&client).await;
    assert_eq!(watch.attempts(), 1);
    check(&peer, drained(&client).await, &[&token], Lost::default());
}

#[tokio::test(start_paused = true)]
async fn slower_attempt_of_a_hedge_is_settled() {
    // Either attempt can be the slower one.
    for plans in [
        [after(2 * SECOND), after(SECOND)],
        [after(SECOND), after(2 * SECOND)],
    ] {
        let (peer, client) = hedged(&plans);
        let (token, watch) = claimed(&client).await;
        assert_eq!((watch.attempts(), watch.outcome()), (2, Outcome::Applied));
        assert!(watch.is_settling());
        check(&peer, drained(&client).await, &[&token], revoked(1));
        assert!(!watch.is_settling());
    }
}

#[tokio::test(start_paused = true)]
async fn failed_hedge_reports_the_outcome_of_both_attempts() {
    let reset = Exchange {
        head: Head::Fail,
        ..after(SECOND)
    };
    let rejected = Exchange {
        effect: Effect::Never,
        head: Head::Status(422, None),
        ..after(SECOND)
    };
    // The first attempt fails while the second one is in flight.
    let (peer, client) = hedged(&[rejected.clone(), after(2 * SECOND)]);
    let (request, watch) = create();
    let error = client.send(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api);
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 2));
    assert!(error.is_settling() && watch.is_settling());
    check(&peer, drained(&client).await, &[], revoked(1));

    let (peer, client) = hedged(&[reset, after(2 * SECOND)]);
    let (request, _) = create();
    let error = client.send(request).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 2));
    check(
        &peer,
        drained(&client).await,
        &[],
        Lost {
            revoked: 1,
            reported: 1,
        },
    );
}

#[tokio::test(start_paused = true)]
async fn cancelled_hedge_settles_both_attempts() {
    let (peer, client) = hedged(&[after(2 * SECOND), after(2 * SECOND)]);
    let (request, watch) = create();
    let call = tokio::time::timeout(SECOND, client.send(request));
    assert!(call.await.is_err());
    assert_eq!((watch.attempts(), watch.outcome()), (2, Outcome::Unknown));
    assert!(watch.is_settling());
    check(&peer, drained(&client).await, &[], revoked(2));
}

/// Spawns every attempt, so that it continues when its caller is dropped.
#[derive(Clone)]
struct Spawn<S>(S);

struct Joined(JoinHandle<AttemptResult>);

impl Future for Joined {
    type Output = AttemptResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptResult> {
        self.0.poll_unpin(cx).map(|joined| joined?)
    }
}

impl<S: AttemptService> Service<Request<Payload>> for Spawn<S> {
    type Response = Response<TokenResponse>;
    type Error = BoxError;
    type Future = Joined;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Payload>) -> Joined {
        Joined(tokio::spawn(self.0.call(request)))
    }
}

fn spawned(plans: &[Exchange]) -> (Peer, Client) {
    let (peer, builder) = over(plans);
    let client = builder.attempt_layer(layer_fn(Spawn)).build().unwrap();
    (peer, client)
}

#[tokio::test(start_paused = true)]
async fn spawned_attempts_are_returned_and_retried() {
    let (peer, client) = spawned(&[Exchange::refusal(429, Some(0))]);
    let (token, watch) = claimed(&client).await;
    assert_eq!((watch.attempts(), watch.outcome()), (2, Outcome::Applied));
    check(&peer, drained(&client).await, &[&token], Lost::default());
}

#[tokio::test(start_paused = true)]
async fn token_of_a_spawned_attempt_is_revoked_when_its_caller_is_dropped() {
    for is_cancelled in [true, false] {
        let (peer, client) = spawned(&[after(2 * SECOND)]);
        let (request, watch) = create();
        if is_cancelled {
            let call = tokio::time::timeout(SECOND, client.send(request));
            assert!(call.await.is_err());
        } else {
            let error = client.send(request.timeout(SECOND)).await.unwrap_err();
            assert!(error.is_timeout());
            assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1));
        }
        assert_eq!((watch.attempts(), watch.outcome()), (1, Outcome::Unknown));
        check(&peer, drained(&client).await, &[], revoked(1));
    }
}

#[tokio::test(start_paused = true)]
async fn spawned_attempt_cannot_be_sent_after_its_call_was_not_sent() {
    for request in [create, revoke] {
        let slow = Exchange {
            before_taking: Delay::time(2 * SECOND),
            ..Exchange::prompt()
        };
        // A peer that takes every body late.
        let peer = Peer::new(move |_| slow.clone());
        let builder = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer.clone());
        let client = builder.attempt_layer(layer_fn(Spawn)).build().unwrap();
        let (request, watch) = request();
        let call = tokio::time::timeout(SECOND, client.send(request));
        assert!(call.await.is_err());
        assert_eq!((watch.attempts(), watch.outcome()), (1, Outcome::NotSent));
        tokio::time::sleep(10 * SECOND).await;
        {
            let ledger = peer.ledger();
            assert!(!ledger.creates.iter().any(|create| create.taken));
            assert!(!ledger.revokes.iter().any(|revoke| revoke.taken));
        }
        assert_eq!(watch.outcome(), Outcome::NotSent);
        check(&peer, drained(&client).await, &[], Lost::default());
    }
}

#[tokio::test(start_paused = true)]
async fn spawned_revoke_that_was_sent_continues_after_a_cancel() {
    let (peer, client) = spawned(&[]);
    let (request, watch) = revoke();
    let call = tokio::time::timeout(SECOND / 2, client.send(request));
    assert!(call.await.is_err());
    assert_eq!((watch.attempts(), watch.outcome()), (1, Outcome::Unknown));
    tokio::time::sleep(SECOND).await;
    assert!(peer.ledger().is_revoked("act_9"));
}

/// Begins an attempt by hand and drops its body, then calls the layers below.
#[derive(Clone)]
struct ByHand<S> {
    inner: S,
    takes_body: bool,
}

impl<S: AttemptService> Service<Request<Payload>> for ByHand<S> {
    type Response = Response<TokenResponse>;
    type Error = BoxError;
    type Future = AttemptFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Payload>) -> AttemptFuture {
        let body = request.body().clone().begin_attempt();
        if self.takes_body {
            assert!(body.into_bytes().is_ok());
        }
        Box::pin(self.inner.call(request))
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_begun_by_hand_are_recorded() {
    for (takes_body, outcome) in [(true, Outcome::Unknown), (false, Outcome::Rejected)] {
        let (peer, builder) = over(&[Exchange::refusal(422, None)]);
        let client = builder
            .attempt_layer(layer_fn(move |inner| ByHand { inner, takes_body }))
            .build()
            .unwrap();
        let (request, watch) = create();
        let error = client.send(request).await.unwrap_err();
        assert_eq!((error.outcome(), error.attempts()), (outcome, 2));
        assert_eq!((watch.outcome(), watch.attempts()), (outcome, 2));
        check(&peer, drained(&client).await, &[], Lost::default());
    }
}
