//! Clients and typed errors in one another: each tells what became of its own part, and of no other.

use std::sync::{Arc, Mutex};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, BoxError, Client, ClientBuilder, Error, Outcome, RetryConfig,
    layer::{TimeoutLayer, TraceCallLayer, TypedErrorLayer},
};
use tower::{
    Layer, ServiceExt,
    util::{MapErrLayer, MapRequestLayer},
};
use tracing::{field::Empty, info_span};

use crate::{
    OnceMore, SECOND, Transport, assert_returned, connecting_late, create, key, prompt, revoke,
    silent,
    support::{
        capture::Capture,
        peer::{Exchange, Pause, Peer},
    },
    taken, unconnected, was_not_sent,
};

/// A client that sends once.
fn once(transport: Transport) -> Client {
    ClientBuilder::over(key(), transport)
        .retry(RetryConfig::disabled())
        .build()
        .unwrap()
}

/// A client that reaches nobody.
fn down() -> Client {
    once(unconnected())
}

/// A client over two, made of what `both` makes of their calls.
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
async fn a_retry_over_a_client_within_a_client_sends_again() {
    for request in [create, revoke] {
        let peer = prompt();
        let inner = once(Transport::new(connecting_late(&peer, SECOND))).map_err(BoxError::from);
        let client = Client::new(OnceMore::layer(was_not_sent).layer(inner));
        client.send(request()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_between_typed_errors_sends_again() {
    let peer = Peer::new(|asked| match asked.before {
        0 => Exchange::refusal(429, None),
        _ => Exchange::prompt(),
    });
    let client = ClientBuilder::over(key(), peer)
        .retry(RetryConfig::disabled())
        .call_layer(OnceMore::layer(|_| true))
        .call_layer(MapErrLayer::new(|error: Error| BoxError::from(error)))
        .call_layer(TypedErrorLayer::new())
        .build()
        .unwrap();
    assert_returned(&client.send(create()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_one_client_did_not_send_another_one_does() {
    let client = over_two(
        down(),
        once(Transport::new(prompt())),
        async |first, second, request| {
            let spare = request.clone();
            match first.oneshot(request).await {
                Err(error) if error.outcome() == Outcome::NotSent => second.oneshot(spare).await,
                done => done,
            }
        },
    );
    assert_returned(&client.send(create()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_fails_takes_nothing_back_of_what_another_one_sends() {
    let slow = Peer::new(|_| Exchange {
        before_taking: Pause::time(2 * SECOND),
        ..Exchange::prompt()
    });
    let client = over_two(
        down(),
        once(Transport::new(slow)),
        async |first, second, request| {
            let other = second.oneshot(request.clone());
            let (one, other) = tokio::join!(first.oneshot(request), other);
            one.or(other)
        },
    );
    client.send(revoke()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_sent_a_clone_tells_of_its_own_clones() {
    let (peer, told) = (silent(), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&told);
    let cloned = || MapRequestLayer::new(|request: ActorTokenRequest| request.clone());
    let inner = ClientBuilder::over(key(), peer.clone())
        .retry(RetryConfig::disabled())
        .call_layer(TimeoutLayer::new(SECOND))
        .call_layer(cloned())
        .build()
        .unwrap()
        .map_err(move |error: Error| {
            noted.lock().unwrap().push(error.outcome());
            BoxError::from(error)
        });
    let again = OnceMore::layer(was_not_sent).layer(inner);
    let error = Client::new(cloned().layer(again))
        .send(create())
        .await
        .unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(*told.lock().unwrap(), [Outcome::Unknown]);
    assert_eq!((taken(&peer), error.attempts()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_span_of_a_call_within_a_call_tells_of_its_own_attempts() {
    let (capture, _guard) = Capture::begin();
    // Whether anybody looks at the default one is decided by whichever test is the first to make it.
    let spans = TraceCallLayer::new().make_span(|_| info_span!("inner", clerk.attempts = Empty));
    let inner = ClientBuilder::over(key(), connecting_late(&prompt(), SECOND))
        .retry(RetryConfig::disabled())
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
