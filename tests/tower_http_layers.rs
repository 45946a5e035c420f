//! tower-http's layers as wire layers.

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ClientBuilder, CreateActorToken, Outcome,
    sandbox::{Fault, Sandbox},
};
use http::StatusCode;
use tower_http::timeout::TimeoutLayer;

#[tokio::test(start_paused = true)]
async fn create_that_exceeds_the_timeout_of_tower_http_has_an_unknown_outcome() {
    let sandbox = Sandbox::new();
    let limit =
        TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(1));
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .wire_layer(limit)
        .build()
        .unwrap();
    let create = || CreateActorToken::new("user_1", Actor::new("user_2"));
    let token = client.create(create()).await.unwrap();
    token.ticket().unwrap().claim();
    // The layer drops the exchange and creates a response, so the outcome is unknown.
    sandbox.inject(Fault::HangBefore);
    let error = client.create(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
}
