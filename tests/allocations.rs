//! Settling a create allocates at most three times, and settling a revoke never. Spans do not allocate
//! without a subscriber, so no test in this file may set one.

use std::future::ready;

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, Client, ClientBuilder, CreateActorToken, SecretKey,
    layer::{SettleLayer, TraceCallLayer, TraceLayer},
};
use http::{Request, Response};
use http_body_util::Full;
use tower::service_fn;

/// Returns a client whose transport responds at once.
fn client(layer: SettleLayer, trace: TraceLayer, trace_call: TraceCallLayer) -> Client {
    let transport = service_fn(|request: Request<Body>| {
        const MINTED: &str =
            r#"{"id":"act_1","user_id":"user_1","status":"pending","token":"t","url":"u"}"#;
        const REVOKED: &str =
            r#"{"id":"act_1","user_id":"user_1","status":"revoked","token":"t","url":"u"}"#;
        let sent = request.into_body().into_bytes();
        ready(match sent {
            Ok(body) => {
                let json = if body.is_empty() { REVOKED } else { MINTED };
                Ok(Response::new(Full::new(Bytes::from_static(
                    json.as_bytes(),
                ))))
            }
            Err(withdrawn) => Err(BoxError::from(withdrawn)),
        })
    });
    ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
        .settle(layer)
        .trace(trace)
        .trace_call(trace_call)
        .build()
        .unwrap()
}

/// Counts the allocations of the second call of a client.
fn allocations(client: &Client, request: impl Fn() -> ActorTokenRequest) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let call = || {
        let token = runtime.block_on(client.send(request())).unwrap();
        token.ticket().unwrap().claim();
    };
    call();
    allocation_counter::measure(call).count_total
}

/// Counts the allocations that settling adds.
fn added(request: impl Fn() -> ActorTokenRequest + Copy) -> u64 {
    let [without, with] = [SettleLayer::disabled(), SettleLayer::new()].map(|layer| {
        let client = client(layer, TraceLayer::new(), TraceCallLayer::new());
        allocations(&client, request)
    });
    assert!(without > 0, "no allocation was counted");
    with - without
}

fn create() -> ActorTokenRequest {
    ActorTokenRequest::create(CreateActorToken::new("user_1", Actor::new("user_2")))
}

fn revoke() -> ActorTokenRequest {
    ActorTokenRequest::revoke("act_1".parse().unwrap())
}

#[test]
fn settling_a_returned_create_allocates_at_most_three_times() {
    let added = added(create);
    assert!((1..=3).contains(&added), "{added}");
}

#[test]
fn settling_a_revoke_does_not_allocate() {
    assert_eq!(added(revoke), 0);
}

#[test]
fn spans_without_a_subscriber_do_not_allocate() {
    for request in [create, revoke] {
        let settle = SettleLayer::new;
        let with = client(settle(), TraceLayer::new(), TraceCallLayer::new());
        let without = client(settle(), TraceLayer::disabled(), TraceCallLayer::disabled());
        assert_eq!(allocations(&with, request), allocations(&without, request));
    }
}
