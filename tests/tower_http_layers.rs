//! tower-http's layers fit into a client at the wire level.

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ClientBuilder, CreateActorToken, Outcome,
    sandbox::{Fault, Sandbox},
};
use http::StatusCode;
use tower_http::timeout::TimeoutLayer;

#[tokio::test(start_paused = true)]
async fn timeout_over_the_sandbox_is_a_wire_layer() {
    let sandbox = Sandbox::new();
    let limit =
        TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(1));
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .wire_layer(limit)
        .build()
        .unwrap();
    let create = || CreateActorToken::new("user_1", Actor::new("user_2"));
    client
        .create(create())
        .await
        .unwrap()
        .ticket()
        .unwrap()
        .claim();
    // The layer drops the exchange and makes up a response: the outcome stays unknown.
    sandbox.inject(Fault::HangBefore);
    let error = client.create(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
}
