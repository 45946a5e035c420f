//! No key, ticket, reason or id shows in a `Debug`, an error or a log line.

use std::{
    fmt::Debug,
    future::{pending, ready},
    sync::{Arc, Mutex},
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, ClientBuilder, CreateActorToken, Operation, Payload,
    SecretKey, TokenResponse,
};
use clerk_actor_tokens_policy::{
    AttributionLayer, AuthorizeLayer, GateLayer, Limit, LimitBy, MemoryGate, MemoryRateLimitStore,
    Principal, RateLimitLayer, RateLimitStore, Reason, SharedPolicy,
    authorize::Ask,
    rate_limit::{Cell, Taken},
};
use futures_util::poll;
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{
    marker::{MARKER, MINTED, assert_error_hides_it, assert_hidden, collect_log, log},
    setup::{HOUR, policy},
};

fn request(user: &str, sub: &str) -> ActorTokenRequest {
    let actor = Actor::new(sub).claim("reason", "MARKER because of MARKER");
    let mut request = ActorTokenRequest::create(CreateActorToken::new(user, actor))
        .header(Reason::HEADER, "MARKER");
    request
        .extensions_mut()
        .insert(Principal::new(sub).via("console").group("MARKER"));
    request.extensions_mut().insert(Reason::new("MARKER"));
    request
}

fn limits(calls: u32) -> RateLimitLayer<MemoryRateLimitStore> {
    let calls = calls.try_into().unwrap();
    let by = [LimitBy::Actor, LimitBy::Subject, LimitBy::Principal];
    RateLimitLayer::new(
        MemoryRateLimitStore::new(),
        by.map(|by| Limit::new(by, calls, HOUR)),
    )
}

#[tokio::test(start_paused = true)]
async fn errors_and_events_of_every_refusal_show_no_secret() {
    collect_log();
    let transport = service_fn({
        let count = Arc::new(Mutex::new(0));
        move |request: Request<Body>| {
            let sent = request.into_body().into_bytes();
            let mut count = count.lock().unwrap();
            *count += 1;
            let response = match *count {
                2 => Response::builder().status(429).header("retry-after", "60"),
                _ => Response::builder(),
            };
            ready(sent.map(|_| response.body(MINTED.to_owned()).unwrap()))
        }
    });
    let key = SecretKey::new("sk_test_MARKER").unwrap();
    let rules = "actors = { deny = ['group:trainees'] }\nreason = { min_length = 3 }";
    let builder = ClientBuilder::over(key, transport)
        .observe_layer(AttributionLayer::new("gateway").policy(SharedPolicy::new(policy(rules))))
        .call_layer(AuthorizeLayer::new(policy(rules)))
        .call_layer(limits(3))
        .attempt_layer(GateLayer::new(MemoryGate::new(), "account"));
    let client = builder.build().unwrap();
    let send = async |request| client.clone().ready().await.unwrap().call(request).await;

    let token = send(request("user_MARKER", "MARKER")).await.unwrap();
    assert_hidden(&token);
    let mut trainee = request("user_MARKER", "MARKER");
    let principal = Principal::new("MARKER").via("console").group("trainees");
    trainee.extensions_mut().insert(principal);
    let mut reserved = request("user_MARKER", "MARKER");
    if let Operation::Create(create) = reserved.operation_mut() {
        *create = CreateActorToken::new("user_MARKER", Actor::new("MARKER").claim("by", "MARKER"));
    }
    let long = "MARKER".repeat(100);
    for refused in [
        trainee,
        reserved,
        request("MARKER", "MARKER"),
        request("user_MARKER", &long),
        request("user_MARKER", "MARKER"), // meets the 429
        request("user_MARKER", "MARKER"), // is refused by the gate
        request("user_MARKER", "MARKER"),
        request("user_MARKER", "MARKER"), // is refused by the limit
    ] {
        let error = send(refused).await.unwrap_err();
        assert_error_hides_it(&error);
    }
    let logged = log();
    for expected in [
        "clerk.policy.rule=\"actors.deny\"",
        "clerk.policy.rule=\"self_impersonation\"",
        "clerk.policy.rule=\"claims\"",
        "clerk.policy.rule=\"gate\"",
        "the gate closes",
    ] {
        assert!(logged.contains(expected), "{expected} is not in {logged}");
    }
}

/// A future that shows its response.
#[derive(Debug)]
struct Revealing(#[allow(dead_code, reason = "it is read through Debug")] &'static str);

impl Future for Revealing {
    type Output = Result<&'static str, BoxError>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn futures_in_flight_layers_and_values_show_no_secret() {
    let revealing = service_fn(|_: ActorTokenRequest| Revealing(MINTED));
    let authorize = AuthorizeLayer::new(policy(""));
    assert_hidden(&authorize);
    let mut service =
        AttributionLayer::new("gateway").layer(authorize.layer(limits(1).layer(revealing)));
    assert_hidden(&service);
    let mut future = Box::pin(service.call(request("user_MARKER", "MARKER")));
    for _ in 0..3 {
        assert_hidden(&future);
        assert!(poll!(&mut future).is_pending());
        tokio::task::yield_now().await;
    }
    let future = AttributionLayer::new("gateway").layer(revealing);
    assert_hidden(&future.clone().call(request("user_MARKER", "MARKER")));

    let silent =
        service_fn(|_: Request<Payload>| pending::<Result<Response<TokenResponse>, BoxError>>());
    let mut gated = GateLayer::new(MemoryGate::new(), "account").layer(silent);
    let payload = Payload::new(clerk_actor_tokens::OperationKind::Create, MINTED);
    let mut future = Box::pin(gated.call(Request::new(payload)));
    assert!(poll!(&mut future).is_pending());
    assert_hidden(&future);

    let asked = request("user_MARKER", "MARKER");
    assert_hidden(&Ask::new(&asked));
    assert_hidden(&Reason::of(&asked));
    let store = MemoryRateLimitStore::new();
    let cell = Cell::new(MARKER, HOUR, 1);
    assert_hidden(&cell);
    let Taken::Yes(receipt) = store.take(&[cell]).await.unwrap() else {
        panic!("refused");
    };
    assert_hidden(&receipt);
    assert_hidden(&store);
    assert_hidden(&SharedPolicy::new(policy(
        "subjects = { deny = ['MARKER'] }",
    )));
}
