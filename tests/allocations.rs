//! Settling costs little where nothing is lost: three allocations for a create, none for a revoke.

use std::future::ready;

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, Client, ClientBuilder, CreateActorToken, SecretKey,
    layer::SettleLayer,
};
use http::{Request, Response};
use http_body_util::Full;
use tower::service_fn;

/// A client over a transport that is ready at once.
fn client(layer: SettleLayer) -> Client {
    let transport = service_fn(|request: Request<Body>| {
        const ANSWER: &str =
            r#"{"id":"act_1","user_id":"user_1","status":"pending","token":"t","url":"u"}"#;
        let sent = request.into_body().into_bytes();
        ready(match sent {
            Some(_) => Ok(Response::new(Full::new(Bytes::from_static(
                ANSWER.as_bytes(),
            )))),
            None => Err(BoxError::from("the attempt was given up")),
        })
    });
    ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
        .settle(layer)
        .build()
        .unwrap()
}

/// What a call allocates on a client that has been used before.
fn allocations(layer: SettleLayer, request: impl Fn() -> ActorTokenRequest) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let client = client(layer);
    let call = || {
        let token = runtime.block_on(client.send(request())).unwrap();
        token.ticket().unwrap().claim();
    };
    call();
    allocation_counter::measure(call).count_total
}

fn added(request: impl Fn() -> ActorTokenRequest + Copy) -> u64 {
    let without = allocations(SettleLayer::disabled(), request);
    assert!(without > 0);
    allocations(SettleLayer::new(), request) - without
}

#[test]
fn settling_a_create_that_is_not_lost_takes_three_allocations_at_most() {
    let added = added(|| {
        let create = CreateActorToken::new("user_1", Actor::new("user_2"));
        ActorTokenRequest::create(create)
    });
    assert!((1..=3).contains(&added), "{added}");
}

#[test]
fn a_revoke_takes_none() {
    let added = added(|| ActorTokenRequest::revoke("act_1".parse().unwrap()));
    assert_eq!(added, 0);
}
