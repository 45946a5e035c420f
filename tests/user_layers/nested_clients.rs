//! Nested clients and typed errors: each reports its own attempts only.

use std::sync::{Arc, Mutex};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, BoxError, Client, Error, Outcome,
    layer::{TimeoutLayer, TraceCallLayer, TypedErrorLayer},
};
use tower::{
    Layer, ServiceExt,
    util::{MapErrLayer, MapRequestLayer},
};
use tracing::{field::Empty, info_span};

use crate::{
    SECOND, claim, create, playing, prompt, revoke, sent, silent,
    support::{
        capture::Capture,
        peer::{Delay, Exchange, Peer},
        tower_policies::RetryOnce,
    },
    unconnected_at_first, was_not_sent, without_retry,
};

/// Returns a client whose transport finds no connection.
fn unconnected() -> Client {
    let transport = unconnected_at_first(&prompt(), u32::MAX, SECOND / 100);
    without_retry(transport).build().unwrap()
}

/// Returns a client over two others, which `both` calls.
fn over_two<F, T>(first: Client, second: Client, both: F) -> Client
where
    F: Fn(Client, Client, ActorTokenRequest) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Result<ActorToken, Error>> + Send + 'static,
{
    Client::new(tower::service_fn(move |request| {
        both(first.clone(), second.clone(), request)
    }))
}

#[tokio::test(start_paused = true)]
async fn retry_around_a_client_inside_a_client_sends_again() {
    for request in [create, revoke] {
        let inner = without_retry(unconnected_at_first(&prompt(), 1, SECOND));
        let inner = inner.build().unwrap().map_err(BoxError::from);
        let client = Client::new(RetryOnce::after(was_not_sent).layer(inner));
        client.send(request()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn retry_between_two_typed_error_layers_sends_again() {
    let client = without_retry(playing([Exchange::refusal(429, None)]))
        .call_layer(RetryOnce::always())
        .call_layer(MapErrLayer::new(|error: Error| BoxError::from(error)))
        .call_layer(TypedErrorLayer::new())
        .build()
        .unwrap();
    claim(&client.send(create()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn call_that_one_client_did_not_send_is_sent_by_another() {
    let second = without_retry(prompt()).build().unwrap();
    let client = over_two(unconnected(), second, async |first, second, request| {
        let spare = request.clone();
        match first.oneshot(request).await {
            Err(error) if error.outcome() == Outcome::NotSent => second.oneshot(spare).await,
            done => done,
        }
    });
    claim(&client.send(create()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn failed_client_does_not_withdraw_the_request_of_another() {
    let slow = Peer::new(|_| Exchange {
        before_taking: Delay::time(2 * SECOND),
        ..Exchange::prompt()
    });
    let second = without_retry(slow).build().unwrap();
    let client = over_two(unconnected(), second, async |first, second, request| {
        let other = second.oneshot(request.clone());
        let (one, other) = tokio::join!(first.oneshot(request), other);
        one.or(other)
    });
    client.send(revoke()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn inner_client_and_outer_client_report_a_clone_that_was_sent() {
    let (peer, outcomes) = (silent(), Arc::new(Mutex::new(Vec::new())));
    let recorded = Arc::clone(&outcomes);
    let cloned = || MapRequestLayer::new(|request: ActorTokenRequest| request.clone());
    let inner = without_retry(peer.clone())
        .call_layer(TimeoutLayer::new(SECOND))
        .call_layer(cloned())
        .build()
        .unwrap()
        .map_err(move |error: Error| {
            recorded.lock().unwrap().push(error.outcome());
            BoxError::from(error)
        });
    let retried = RetryOnce::after(was_not_sent).layer(inner);
    let client = Client::new(cloned().layer(retried));
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::Unknown]);
    assert_eq!((sent(&peer), error.attempts()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn timeout_around_an_inner_client_reports_what_that_client_sent() {
    for (peer, outcome) in [
        (silent(), Outcome::Unknown),
        (
            playing([Exchange {
                before_taking: Delay::time(2 * SECOND),
                ..Exchange::prompt()
            }]),
            Outcome::NotSent,
        ),
    ] {
        let inner = without_retry(peer).build().unwrap();
        let client = Client::new(tower::timeout::TimeoutLayer::new(SECOND).layer(inner));
        let error = client.send(create()).await.unwrap_err();
        assert_eq!((error.outcome(), error.attempts()), (outcome, 1));
        assert_eq!(error.is_settling(), outcome == Outcome::Unknown);
    }
}

#[tokio::test(start_paused = true)]
async fn span_of_an_inner_call_counts_its_own_attempts() {
    let (capture, _guard) = Capture::begin();
    // Another test may have cached the callsite of the default span as disabled.
    let spans = TraceCallLayer::new().make_span(|_| info_span!("inner", clerk.attempts = Empty));
    let inner = without_retry(unconnected_at_first(&prompt(), 1, SECOND))
        .trace_call(spans)
        .build()
        .unwrap();
    let client = over_two(inner.clone(), inner, async |first, second, request| {
        first.oneshot(request.clone()).await.unwrap_err();
        second.oneshot(request).await
    });
    client.send(create()).await.unwrap();
    let spans = capture.named("inner");
    let attempts: Vec<_> = spans.iter().map(|it| it.field("clerk.attempts")).collect();
    assert_eq!(attempts, ["1", "1"]);
}
