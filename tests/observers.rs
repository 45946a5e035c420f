//! An observer layer sees the outcome of each call through a `CallWatch`, also of a cancelled call. Long,
//! because a promise has one file.

#[path = "support"]
mod support {
    pub(crate) mod peer;
    pub(crate) mod tower_policies;
}

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, Body, BoxError, CallWatch, Client, ClientBuilder,
    CreateActorToken, Error, ErrorKind, Outcome, RetryConfig, SecretKey, Ticket,
    client::{CustomTransport, Layers},
    layer::SettleLayer,
};
use futures_util::poll;
use http::Request;
use support::{
    peer::{Content, Delay, Effect, End, Exchange, Head, Peer, USER, numbered},
    tower_policies::RetryOnce,
};
use tower::{
    Layer, Service,
    filter::FilterLayer,
    layer::layer_fn,
    limit::ConcurrencyLimitLayer,
    retry::{Policy, RetryLayer},
    util::MapRequestLayer,
};

const SECOND: Duration = Duration::from_secs(1);
const LIFETIME: Duration = Duration::from_secs(600);

/// The end of a call for its caller.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ended {
    Returned,
    Failed(Outcome),
    Cancelled,
}

/// The end of a call and the state of its watch at that time.
#[derive(Clone, Debug, PartialEq)]
struct Observed {
    ended: Ended,
    outcome: Outcome,
    attempts: u32,
    is_settling: bool,
    is_exposed: bool,
    id: Option<String>,
}

impl Observed {
    fn new(ended: Ended, watch: &CallWatch) -> Self {
        if let Some(until) = watch.exposed_until() {
            assert!(until <= SystemTime::now() + LIFETIME);
            assert!(until > SystemTime::now() + LIFETIME / 2);
        }
        Self {
            ended,
            outcome: watch.outcome(),
            attempts: watch.attempts(),
            is_settling: watch.is_settling(),
            is_exposed: watch.exposed_until().is_some(),
            id: watch.actor_token_id().map(|id| id.to_string()),
        }
    }

    /// Returns the end of a call without settling and without an exposed token.
    fn harmless(ended: Ended, outcome: Outcome, attempts: u32) -> Self {
        Self {
            ended,
            outcome,
            attempts,
            is_settling: false,
            is_exposed: false,
            id: None,
        }
    }

    fn exposed(self) -> Self {
        Self {
            is_exposed: true,
            ..self
        }
    }

    fn settling(self) -> Self {
        Self {
            is_settling: true,
            ..self
        }
    }

    fn with_id(self, id: &str) -> Self {
        Self {
            id: Some(id.to_owned()),
            ..self
        }
    }
}

/// An observer layer and its observations.
#[derive(Clone, Default)]
struct Observer(Arc<Mutex<Vec<(Observed, CallWatch)>>>);

impl Observer {
    fn observed(&self) -> Vec<Observed> {
        let observed = self.0.lock().unwrap();
        observed
            .iter()
            .map(|(observed, _)| observed)
            .cloned()
            .collect()
    }

    #[track_caller]
    fn only(&self) -> Observed {
        let observed = self.observed();
        assert_eq!(observed.len(), 1, "{observed:?}");
        observed[0].clone()
    }

    /// Returns the watch of the last call.
    fn watch(&self) -> CallWatch {
        self.0.lock().unwrap().last().unwrap().1.clone()
    }
}

impl<S> Layer<S> for Observer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe {
            inner,
            observer: self.clone(),
        }
    }
}

#[derive(Clone)]
struct Observe<S> {
    inner: S,
    observer: Observer,
}

impl<S> Service<ActorTokenRequest> for Observe<S>
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error = Error>,
{
    type Response = ActorToken;
    type Error = Error;
    type Future = Observing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> Self::Future {
        let watch = request.watch();
        Observing {
            inner: Some(Box::pin(self.inner.call(request))),
            watch,
            observer: self.observer.clone(),
        }
    }
}

struct Observing<F> {
    inner: Option<Pin<Box<F>>>,
    watch: CallWatch,
    observer: Observer,
}

impl<F> Observing<F> {
    fn end(&mut self, ended: Ended) {
        // Attempts in flight end first, so that the watch includes them.
        self.inner = None;
        let observed = Observed::new(ended, &self.watch);
        let mut calls = self.observer.0.lock().unwrap();
        calls.push((observed, self.watch.clone()));
    }
}

impl<F: Future<Output = Result<ActorToken, Error>>> Future for Observing<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let inner = self.inner.as_mut().expect("polled after it was ready");
        let result = ready!(inner.as_mut().poll(cx));
        self.end(match &result {
            Ok(_) => Ended::Returned,
            Err(error) => Ended::Failed(error.outcome()),
        });
        Poll::Ready(result)
    }
}

impl<F> Drop for Observing<F> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.end(Ended::Cancelled);
        }
    }
}

fn create() -> ActorTokenRequest {
    let create = CreateActorToken::new(USER, Actor::new("user_admin")).expires_in(LIFETIME);
    numbered(create.into())
}

fn revoke() -> ActorTokenRequest {
    numbered(ActorTokenRequest::revoke("act_9".parse().unwrap()))
}

fn over(plans: &[Exchange]) -> ClientBuilder<Layers, CustomTransport<Peer>> {
    let plans = plans.to_vec();
    let peer = Peer::new(move |received| {
        let plan = plans.get(received.earlier).cloned();
        plan.unwrap_or_else(Exchange::prompt)
    });
    ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer)
}

/// Returns an observer, and a client below it. Its peer responds with `plans`, then with 200s.
fn observed(plans: &[Exchange]) -> (Observer, Client) {
    let observer = Observer::default();
    let client = over(plans).observe_layer(observer.clone());
    (observer, client.build().unwrap())
}

fn status(status: u16) -> Exchange {
    Exchange::refusal(status, Some(0))
}

/// Returns a response that never arrives, although the token is minted.
fn lost() -> Exchange {
    Exchange {
        head: Head::Hang,
        ..Exchange::prompt()
    }
}

fn failed(outcome: Outcome, attempts: u32) -> Observed {
    Observed::harmless(Ended::Failed(outcome), outcome, attempts)
}

fn cancelled(outcome: Outcome, attempts: u32) -> Observed {
    Observed::harmless(Ended::Cancelled, outcome, attempts)
}

/// Sends a request and drops the call after this time.
async fn cancel_after(time: Duration, client: &Client, request: ActorTokenRequest) {
    let call = tokio::time::timeout(time, client.send(request)).await;
    assert!(call.is_err(), "the call ended before it was cancelled");
}

/// Claims a token, so that it is not revoked.
#[track_caller]
fn claim(token: Result<ActorToken, Error>) {
    token.unwrap().ticket().map(Ticket::claim);
}

#[tokio::test(start_paused = true)]
async fn successful_call_is_applied() {
    let returned = |attempts| Observed::harmless(Ended::Returned, Outcome::Applied, attempts);
    for (attempts, plans) in [(1, vec![]), (2, vec![status(429)])] {
        let (observer, client) = observed(&plans);
        claim(client.send(create()).await);
        assert_eq!(observer.only(), returned(attempts).exposed());

        let (observer, client) = observed(&plans);
        claim(client.send(revoke()).await);
        assert_eq!(observer.only(), returned(attempts));
    }
}

#[tokio::test(start_paused = true)]
async fn revoke_that_converges_is_applied() {
    let reset = Exchange {
        head: Head::Fail,
        ..Exchange::prompt()
    };
    let is_revoked = Exchange {
        content: Content::CannotBeRevoked("revoked"),
        ..status(400)
    };
    let (observer, client) = observed(&[reset, is_revoked]);
    client.send(revoke()).await.unwrap();
    let returned = Observed::harmless(Ended::Returned, Outcome::Applied, 2);
    assert_eq!(observer.only(), returned);
}

#[tokio::test(start_paused = true)]
async fn failed_call_has_the_outcome_of_its_error() {
    let reset = Exchange {
        head: Head::Fail,
        ..Exchange::prompt()
    };
    let of_no_token = Exchange {
        content: Content::Garbage,
        ..Exchange::prompt()
    };
    for (plan, outcome) in [
        (status(422), Outcome::Rejected),
        (status(503), Outcome::Unknown),
        (reset, Outcome::Unknown),
        (of_no_token, Outcome::Unknown),
    ] {
        let (observer, client) = observed(std::slice::from_ref(&plan));
        let error = client.send(create()).await.unwrap_err();
        assert_eq!(error.outcome(), outcome, "{plan:?}");
        let expected = if outcome == Outcome::Unknown {
            failed(outcome, 1).exposed()
        } else {
            failed(outcome, 1)
        };
        assert_eq!(observer.only(), expected, "{plan:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn call_with_an_unusable_response_is_applied_and_has_the_id() {
    let connection_lost = Exchange {
        length: 800,
        end: End::Fail,
        ..Exchange::prompt()
    };
    let ends_early = Exchange {
        length: 800,
        ..Exchange::prompt()
    };
    for plan in [connection_lost, ends_early] {
        let (observer, client) = observed(std::slice::from_ref(&plan));
        let error = client.send(create()).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Applied, "{plan:?}");
        let id = error.actor_token_id().unwrap().to_string();
        let expected = failed(Outcome::Applied, 1).exposed().with_id(&id);
        assert_eq!(observer.only(), expected, "{plan:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_call_is_not_sent() {
    let observer = Observer::default();
    let refusing = FilterLayer::new(|_: ActorTokenRequest| {
        Err::<ActorTokenRequest, _>(BoxError::from("not today"))
    });
    let layers = over(&[])
        .observe_layer(observer.clone())
        .call_layer(refusing);
    let error = layers.build().unwrap().send(create()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Foreign);
    assert_eq!(observer.only(), failed(Outcome::NotSent, 0));

    let (observer, client) = observed(&[]);
    let invalid = CreateActorToken::new("", Actor::new("user_admin"));
    client.send(numbered(invalid.into())).await.unwrap_err();
    assert_eq!(observer.only(), failed(Outcome::NotSent, 0));

    let observer = Observer::default();
    let full = over(&[])
        .observe_layer(observer.clone())
        .settle(SettleLayer::new().max_creates(0));
    let error = full.build().unwrap().send(create()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(observer.only(), failed(Outcome::NotSent, 1));
}

#[tokio::test(start_paused = true)]
async fn call_that_times_out_is_settling_until_it_has_been_followed() {
    let one_attempt = RetryConfig::disabled();
    for request in [create().timeout(SECOND), create().attempt_timeout(SECOND)] {
        let (observer, client) = observed(&[lost()]);
        let request = request.retry(one_attempt.clone());
        let error = client.send(request).await.unwrap_err();
        assert!(error.is_timeout() && error.is_settling());
        let expected = failed(Outcome::Unknown, 1).exposed().settling();
        assert_eq!(observer.only(), expected);
        assert!(client.drain(60 * SECOND).await.is_complete());
        let watch = observer.watch();
        assert!(!watch.is_settling());
        assert_eq!(watch.outcome(), Outcome::Unknown);
    }
}

#[tokio::test(start_paused = true)]
async fn call_that_times_out_before_its_body_is_taken_is_not_sent() {
    let never_taken = Exchange {
        before_taking: Delay::time(3600 * SECOND),
        ..Exchange::prompt()
    };
    let (observer, client) = observed(&[never_taken]);
    let error = client.send(create().timeout(SECOND)).await.unwrap_err();
    assert!(error.is_timeout() && !error.is_settling());
    assert_eq!(observer.only(), failed(Outcome::NotSent, 1));
}

#[tokio::test(start_paused = true)]
async fn cancelled_call_has_an_outcome() {
    let slow = Exchange {
        before_taking: Delay::time(2 * SECOND),
        ..lost()
    };
    let backoff = Exchange::refusal(429, Some(5));
    for (what, plan, operation, expected) in [
        (
            "a create before it is sent",
            &slow,
            create as fn() -> _,
            cancelled(Outcome::NotSent, 1),
        ),
        (
            "a create after it was sent",
            &lost(),
            create,
            cancelled(Outcome::Unknown, 1).exposed().settling(),
        ),
        (
            "a create during backoff",
            &backoff,
            create,
            cancelled(Outcome::Rejected, 1),
        ),
        (
            "a revoke before it is sent",
            &slow,
            revoke,
            cancelled(Outcome::NotSent, 1),
        ),
        (
            "a revoke after it was sent",
            &lost(),
            revoke,
            cancelled(Outcome::Unknown, 1),
        ),
        (
            "a revoke during backoff",
            &backoff,
            revoke,
            cancelled(Outcome::Rejected, 1),
        ),
    ] {
        let (observer, client) = observed(std::slice::from_ref(plan));
        cancel_after(SECOND, &client, operation()).await;
        assert_eq!(observer.only(), expected, "{what}");
        assert!(client.drain(60 * SECOND).await.is_complete(), "{what}");
        let watch = observer.watch();
        assert_eq!(watch.outcome(), expected.outcome, "{what}: after drain");
        assert!(!watch.is_settling(), "{what}: after drain");
    }
}

#[tokio::test(start_paused = true)]
async fn call_dropped_while_a_call_layer_is_not_ready_is_not_sent() {
    let observer = Observer::default();
    let client = over(&[lost()])
        .observe_layer(observer.clone())
        .call_layer(ConcurrencyLimitLayer::new(1))
        .build()
        .unwrap();
    let mut busy = Box::pin(client.send(create()));
    assert!(poll!(&mut busy).is_pending());
    for operation in [create as fn() -> _, revoke] {
        cancel_after(SECOND, &client, operation()).await;
    }
    assert_eq!(observer.observed(), vec![cancelled(Outcome::NotSent, 0); 2]);

    // The place is free again, also for a call that waits for it.
    let mut waiting = Box::pin(client.send(revoke()));
    assert!(poll!(&mut waiting).is_pending());
    drop(busy);
    waiting.await.unwrap();
    claim(client.send(revoke()).await);
    assert_eq!(observer.observed().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn call_layer_that_fails_instead_of_getting_ready_is_observed() {
    let observer = Observer::default();
    let gone = layer_fn(|_| Gone);
    let client = over(&[]).observe_layer(observer.clone()).call_layer(gone);
    let error = client.build().unwrap().send(create()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Foreign);
    assert_eq!(observer.only(), failed(Outcome::NotSent, 0));
}

/// A service that is never ready, because it has ended.
#[derive(Clone)]
struct Gone;

impl Service<ActorTokenRequest> for Gone {
    type Response = ActorToken;
    type Error = BoxError;
    type Future = Ready<Result<ActorToken, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err("it has ended".into()))
    }

    fn call(&mut self, _: ActorTokenRequest) -> Self::Future {
        panic!("it was called although it was not ready")
    }
}

#[tokio::test(start_paused = true)]
async fn call_that_is_never_polled_is_not_sent() {
    let (observer, mut client) = observed(&[]);
    drop(client.call(create()));
    let observed = observer.only();
    assert_eq!(observed.outcome, Outcome::NotSent);
    assert!(!observed.is_settling && !observed.is_exposed);
}

#[tokio::test(start_paused = true)]
async fn call_cancelled_within_the_response_has_the_id() {
    let half = Exchange {
        length: 800,
        end: End::Hang,
        ..Exchange::prompt()
    };
    let (observer, client) = observed(&[half]);
    cancel_after(SECOND, &client, create()).await;
    let observed = observer.only();
    assert_eq!(observed.outcome, Outcome::Applied);
    assert_eq!(observed.id.as_deref(), Some("act_0"));
    assert!(observed.is_exposed);
}

#[tokio::test(start_paused = true)]
async fn watches_of_a_client_in_a_client_agree() {
    for (plans, attempts) in [(vec![], 1), (vec![status(429), status(429)], 3)] {
        let (inner, client) = observed(&plans);
        let outer = Observer::default();
        // `Client::new` adds a second TypedError with a second record.
        let client = Client::new(outer.layer(Client::new(client)));
        claim(client.send(create()).await);
        let returned = Observed::harmless(Ended::Returned, Outcome::Applied, attempts).exposed();
        assert_eq!(inner.only(), returned);
        assert_eq!(outer.only(), returned);
    }

    let (inner, client) = observed(&[lost()]);
    let outer = Observer::default();
    let outer_client = Client::new(outer.layer(Client::new(client.clone())));
    cancel_after(SECOND, &outer_client, create()).await;
    let sent = cancelled(Outcome::Unknown, 1).exposed().settling();
    assert_eq!(inner.only(), sent);
    assert_eq!(outer.only(), sent);
    assert!(client.drain(60 * SECOND).await.is_complete());
    assert!(!inner.watch().is_settling() && !outer.watch().is_settling());
}

/// Retries whole calls that had no effect.
#[derive(Clone)]
struct RetryCalls {
    left: u32,
    /// The number of attempts of each failed call.
    attempts: Arc<Mutex<Vec<u32>>>,
}

impl Policy<ActorTokenRequest, ActorToken, Error> for RetryCalls {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut ActorTokenRequest,
        result: &mut Result<ActorToken, Error>,
    ) -> Option<Ready<()>> {
        let error = result.as_ref().err()?;
        self.attempts.lock().unwrap().push(error.attempts());
        let is_retried = self.left > 0 && error.outcome().is_without_effect();
        is_retried.then(|| {
            self.left -= 1;
            ready(())
        })
    }

    fn clone_request(&mut self, request: &ActorTokenRequest) -> Option<ActorTokenRequest> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn watch_adds_up_the_attempts_of_all_calls_of_a_retry_below_it() {
    for (rejections, calls, ended, outcome) in [
        (2, vec![2], Ended::Returned, Outcome::Applied),
        (
            9,
            vec![2, 2, 2],
            Ended::Failed(Outcome::Rejected),
            Outcome::Rejected,
        ),
    ] {
        let (observer, inner) = (Observer::default(), Observer::default());
        let attempts = Arc::<Mutex<Vec<_>>>::default();
        let client = over(&vec![status(429); rejections])
            .retry(RetryConfig::default().max_attempts(2))
            .observe_layer(observer.clone())
            .observe_layer(RetryLayer::new(RetryCalls {
                left: 2,
                attempts: Arc::clone(&attempts),
            }))
            .observe_layer(inner.clone())
            .build()
            .unwrap();
        let result = client.send(create()).await;
        match ended {
            Ended::Returned => claim(result),
            _ => assert_eq!(result.unwrap_err().attempts(), 2, "the last call alone"),
        }
        assert_eq!(*attempts.lock().unwrap(), calls, "each call counts its own");
        let (total, last) = if ended == Ended::Returned {
            (3, 1)
        } else {
            (6, 2)
        };
        let observed = observer.only();
        assert_eq!((observed.ended, observed.outcome), (ended, outcome));
        assert_eq!(observed.attempts, total);
        assert_eq!(inner.watch().attempts(), last, "the last call alone");
    }
}

#[tokio::test(start_paused = true)]
async fn observer_between_the_retries_of_a_call_keeps_an_earlier_effect() {
    // The first call fails with a 503 and may have minted a token. The second one is rejected.
    let observer = Observer::default();
    let unavailable = Exchange {
        effect: Effect::WhenTaken,
        ..status(503)
    };
    let client = over(&[unavailable, status(422)])
        .observe_layer(observer.clone())
        .observe_layer(RetryOnce::always())
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Rejected, 1));
    let observed = observer.only();
    assert_eq!(observed.outcome, Outcome::Unknown);
    assert_eq!(observed.attempts, 2);
    assert!(observed.is_exposed);
}

#[tokio::test(start_paused = true)]
async fn watch_of_a_request_that_a_layer_replaces_sees_nothing() {
    // The new request is another call, and the watched one is never sent.
    let observer = Observer::default();
    let client = over(&[])
        .observe_layer(observer.clone())
        .observe_layer(MapRequestLayer::new(|_: ActorTokenRequest| create()))
        .build()
        .unwrap();
    claim(client.send(create()).await);
    let observed = observer.only();
    assert_eq!((observed.outcome, observed.attempts), (Outcome::NotSent, 0));
}

#[tokio::test(start_paused = true)]
async fn observer_around_a_wrapped_client_sees_every_outcome() {
    let wrapped = |plan: Exchange| {
        let (inner, client) = observed(&[plan]);
        let outer = Observer::default();
        (inner, outer.clone(), client.wrap(outer))
    };
    let same = |inner: &Observer, outer: &Observer, expected: &Observed| {
        assert_eq!(
            (inner.only(), outer.only()),
            (expected.clone(), expected.clone())
        );
    };

    let (inner, outer, client) = wrapped(Exchange::prompt());
    claim(client.send(create()).await);
    let returned = Observed::harmless(Ended::Returned, Outcome::Applied, 1).exposed();
    same(&inner, &outer, &returned);

    let (inner, outer, client) = wrapped(status(422));
    client.send(create()).await.unwrap_err();
    same(&inner, &outer, &failed(Outcome::Rejected, 1));

    let (inner, outer, client) = wrapped(lost());
    cancel_after(SECOND, &client, create()).await;
    let sent = cancelled(Outcome::Unknown, 1).exposed().settling();
    same(&inner, &outer, &sent);
    // The drain of the outer client includes the inner one.
    assert!(client.drain(60 * SECOND).await.is_complete());
    assert!(!inner.watch().is_settling() && !outer.watch().is_settling());
}

#[tokio::test(start_paused = true)]
async fn create_and_revoke_of_a_lease_are_observed_and_its_drop_is_not() {
    let (observer, client) = observed(&[]);
    let lease = client.lease(create()).await.unwrap();
    lease.revoke().await.unwrap();
    drop(client.lease(create()).await.unwrap());
    client.drain(60 * SECOND).await;
    let returned = Observed::harmless(Ended::Returned, Outcome::Applied, 1);
    let created = returned.clone().exposed();
    assert_eq!(observer.observed(), [created.clone(), returned, created]);
}

#[tokio::test(start_paused = true)]
async fn call_with_a_layer_that_panics_is_observed() {
    let observer = Observer::default();
    let client = over(&[])
        .observe_layer(observer.clone())
        .wire_layer(MapRequestLayer::new(|_: Request<Body>| -> Request<Body> {
            panic!("a wire layer panics")
        }))
        .build()
        .unwrap();
    let call = tokio::spawn(async move { client.send(create()).await });
    assert!(call.await.unwrap_err().is_panic());
    assert_eq!(observer.only(), cancelled(Outcome::NotSent, 1));
}
