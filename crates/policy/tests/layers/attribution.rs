//! Attribution stamps every create within 256 bytes and refuses reserved claims.

use std::sync::{Arc, Mutex};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, ClerkError, ClientBuilder, CreateActorToken, Error, ErrorKind,
    Operation, Outcome, SecretKey, sandbox::Sandbox, server::ActorTokensApi,
};
use clerk_actor_tokens_policy::{
    AttributionLayer, AuthorizeLayer, CallId, Principal, Reason, SharedPolicy,
    attribution::MAX_BYTES,
};
use http::{Request, StatusCode, header::AUTHORIZATION};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tower::{Layer, Service, service_fn};

use crate::setup::{by, call, create, meta, over, policy, revoke};

/// Returns the request as it leaves the layer.
fn attributed(
    layer: &AttributionLayer,
    request: ActorTokenRequest,
) -> Result<ActorTokenRequest, Error> {
    let seen = Arc::new(Mutex::new(None));
    let inner = service_fn(|request: ActorTokenRequest| {
        *seen.lock().unwrap() = Some(request);
        std::future::ready(Ok::<_, Error>(()))
    });
    let mut service = layer.layer(inner);
    futures_util::FutureExt::now_or_never(service.call(request)).unwrap()?;
    Ok(seen.lock().unwrap().take().unwrap())
}

fn claims(request: &ActorTokenRequest) -> &Map<String, Value> {
    match request.operation() {
        Operation::Create(create) => create.actor().claims(),
        _ => panic!("not a create"),
    }
}

fn layer() -> AttributionLayer {
    AttributionLayer::new("gateway").policy(SharedPolicy::new(policy("")))
}

#[test]
fn create_gets_all_stamps_and_keeps_the_rest() {
    let actor = Actor::new("user_admin").claim("team", json!(["a"]));
    let create = CreateActorToken::new("user_subject", actor)
        .expires_in(crate::setup::HOUR)
        .session_max_duration(crate::setup::SECOND);
    let mut request = by(Principal::new("user_admin"), create.clone());
    request
        .extensions_mut()
        .insert(Reason::new("  ticket 4711\n"));
    let request = attributed(&layer(), request).unwrap();

    let call = CallId::of(request.extensions()).unwrap().to_string();
    let stamps = json!({
        "team": ["a"], "call": call, "by": "user_admin", "iss": "gateway", "policy": "7", "reason": "ticket 4711"
    });
    assert_eq!(claims(&request), stamps.as_object().unwrap());
    let Operation::Create(stamped) = request.operation() else {
        panic!("not a create");
    };
    assert_eq!(stamped.user_id(), create.user_id());
    assert_eq!(stamped.actor().sub(), "user_admin");
    assert_eq!(stamped.lifetime(), create.lifetime());
    assert_eq!(stamped.session_lifetime(), create.session_lifetime());
}

#[test]
fn stamps_without_a_value_are_left_out() {
    let request = ActorTokenRequest::create(create());
    let request = attributed(&AttributionLayer::new("gateway"), request).unwrap();
    let names: Vec<_> = claims(&request).keys().collect();
    assert_eq!(names, ["call", "iss"]);
}

#[test]
fn call_id_of_a_layer_above_is_kept_and_else_each_call_gets_its_own() {
    let above = attributed(&layer(), revoke()).unwrap();
    let below = attributed(&layer(), above.clone()).unwrap();
    let [above, below] = [above, below].map(|it| CallId::of(it.extensions()));
    assert!(above.is_some() && above == below);

    // A host cannot choose it.
    let mut request = call();
    request.extensions_mut().insert(CallId::create());
    assert!(CallId::of(request.extensions()).is_none());

    let [one, two] = [(); 2].map(|()| {
        let request = attributed(&layer(), call()).unwrap();
        CallId::of(request.extensions()).unwrap()
    });
    assert_ne!(one, two);
    let revoke = attributed(&layer(), revoke()).unwrap();
    assert!(CallId::of(revoke.extensions()).is_some());
}

#[test]
fn replaced_policy_is_stamped_on_the_next_call() {
    let shared = SharedPolicy::new(policy(""));
    let layer = AttributionLayer::new("gateway").policy(shared.clone());
    let stamped = || claims(&attributed(&layer, call()).unwrap())["policy"].clone();
    assert_eq!(stamped(), "7");
    let limits = "{ default = 1, longest = 1 }";
    let next = format!("version = '8'\nlifetime = {limits}\nsession = {limits}");
    shared.replace(toml::from_str(&next).unwrap());
    assert_eq!(stamped(), "8");
}

#[test]
fn reason_comes_from_the_claim_else_the_header_else_the_form() {
    let with_form = || {
        let mut request = call();
        request.extensions_mut().insert(Reason::new("form"));
        request
    };
    let request = attributed(&layer(), with_form()).unwrap();
    assert_eq!(claims(&request)["reason"], "form");

    let request = with_form().header(Reason::HEADER, "header");
    let request = attributed(&layer(), request).unwrap();
    assert_eq!(claims(&request)["reason"], "header");
    assert!(request.headers().is_empty(), "the header would be sent");

    let mut request = with_form().header(Reason::HEADER, "header");
    if let Operation::Create(create) = request.operation_mut() {
        *create = CreateActorToken::new("user_subject", Actor::new("a").claim("reason", "claim"));
    }
    let request = attributed(&layer(), request).unwrap();
    assert_eq!(claims(&request)["reason"], "claim");

    // An empty one counts as none.
    let request = with_form().header(Reason::HEADER, " ");
    let request = attributed(&layer(), request).unwrap();
    assert_eq!(claims(&request)["reason"], "form");
}

#[tokio::test]
async fn header_on_the_wire_is_the_reason() {
    let key = SecretKey::new("sk_test_0123456789abcdef").unwrap();
    let sandbox = Sandbox::new();
    let client = over(&sandbox).observe_layer(AttributionLayer::new("gateway"));
    let mut api = ActorTokensApi::new(client.build().unwrap(), key.clone()).unwrap();
    let request = Request::post("/v1/actor_tokens")
        .header(AUTHORIZATION, format!("Bearer {}", key.expose()))
        .header("content-type", "application/json")
        .header(Reason::HEADER, "ticket 4711")
        .body(r#"{"user_id":"user_subject","actor":{"sub":"user_admin"}}"#.to_owned())
        .unwrap();
    let response = api.call(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let ledger = sandbox.ledger();
    let claims = ledger.minted().next().unwrap().actor().claims();
    assert_eq!(claims["reason"], "ticket 4711");
}

#[tokio::test]
async fn reserved_claim_is_refused_with_422_and_nothing_is_sent() {
    let sandbox = Sandbox::new();
    let client = over(&sandbox).observe_layer(layer()).build().unwrap();
    for name in ["call", "by", "policy", "iss"] {
        let actor = Actor::new("user_admin").claim(name, "mine");
        let create = CreateActorToken::new("user_subject", actor);
        let error = client.create(create).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Refused, Outcome::NotSent)
        );
        assert_eq!(error.status(), Some(StatusCode::UNPROCESSABLE_ENTITY));
        assert_eq!(error.code(), Some(ClerkError::FORM_PARAM_UNKNOWN));
        assert_eq!(meta(&error, "param_name"), &format!("actor.{name}"));
    }
    let create = CreateActorToken::new("user_subject", Actor::new("a").claim("reason", 4711));
    let error = client.create(create).await.unwrap_err();
    assert_eq!(error.code(), Some(ClerkError::FORM_PARAM_VALUE_INVALID));
    assert_eq!(sandbox.requests(), 0);
}

#[test]
fn principal_with_a_long_id_is_refused_and_not_cut() {
    let error = attributed(&layer(), by(Principal::new("x".repeat(300)), create())).unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNPROCESSABLE_ENTITY));
    assert_eq!(meta(&error, "param_name"), "actor.by");
}

#[tokio::test]
async fn authorizer_sees_the_whole_reason_of_a_claim_that_was_cut() {
    let sandbox = Sandbox::new();
    let rules = "reason = { min_length = 500, pattern = '!$' }";
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .observe_layer(layer())
        .call_layer(AuthorizeLayer::new(policy(rules)))
        .build()
        .unwrap();
    let actor = Actor::new("user_admin").claim("reason", "because ".repeat(100) + "!");
    let create = CreateActorToken::new("user_subject", actor);
    let principal = Principal::new("user_admin").via("console");
    client.send(by(principal, create)).await.unwrap();
    let ledger = sandbox.ledger();
    let reason = &ledger.minted().next().unwrap().actor().claims()["reason"];
    assert!(reason.as_str().unwrap().ends_with('…'));
}

#[test]
fn stamps_and_a_cut_reason_fill_256_bytes_to_the_last_one() {
    let len = |request| {
        let request = attributed(&layer(), request).ok()?;
        Some(serde_json::to_vec(claims(&request)).unwrap().len())
    };
    let stamped = |id: usize| len(by(Principal::new("p".repeat(id)), create()));
    let longest = (1..MAX_BYTES).map_while(stamped).last();
    assert_eq!(longest, Some(MAX_BYTES));

    let actor = Actor::new("user_admin").claim("reason", "x".repeat(1000));
    let create = CreateActorToken::new("user_subject", actor);
    let cut = len(by(Principal::new("user_admin"), create));
    assert_eq!(cut, Some(MAX_BYTES));
}

#[test]
fn reason_for_which_no_room_is_left_is_removed() {
    let actor = Actor::new("user_admin").claim("reason", "x".repeat(1000));
    let create = CreateActorToken::new("user_subject", actor);
    for len in 100..200 {
        let request = by(Principal::new("p".repeat(len)), create.clone());
        let Ok(request) = attributed(&layer(), request) else {
            assert!(len > 150);
            return;
        };
        assert!(serde_json::to_vec(claims(&request)).unwrap().len() <= MAX_BYTES);
    }
    panic!("no principal was too long");
}

proptest! {
    #[test]
    fn stamps_fit_256_bytes_and_cut_only_the_reason(
        reason in "\\PC{0,400}|[\"\\\\\u{1}-\u{1f}é🦀 a]{0,200}",
        by_id in "[a-z\"é]{1,60}",
        is_claim: bool,
        issuer in "[a-z]{1,40}",
    ) {
        let layer = AttributionLayer::new(issuer.clone()).policy(SharedPolicy::new(policy("")));
        let mut request = by(Principal::new(by_id.clone()), create());
        request.extensions_mut().insert(Reason::new(&reason));
        if let (Operation::Create(create), true) = (request.operation_mut(), is_claim) {
            let actor = Actor::new("user_admin").claim("reason", reason.as_str());
            *create = CreateActorToken::new("user_subject", actor);
        }
        let request = attributed(&layer, request).unwrap();
        let claims = claims(&request);
        let len = serde_json::to_vec(claims).unwrap().len();
        prop_assert!(len <= MAX_BYTES, "{len} bytes");
        prop_assert_eq!(&claims["by"], &by_id);
        prop_assert_eq!(&claims["iss"], &issuer);
        let whole = reason.trim();
        match claims.get("reason").and_then(Value::as_str) {
            None => prop_assert!(whole.is_empty()),
            Some(stamped) if stamped == whole => {}
            Some(stamped) => {
                prop_assert!(whole.starts_with(stamped.strip_suffix('…').unwrap()));
                prop_assert!(len > MAX_BYTES - 10, "cut too early: {len} bytes");
            }
        }
    }
}
