//! A revoke of a lost token carries the headers and extensions of its create, except those about the body.

use clerk_actor_tokens::{
    ActorTokenRequest, Body, Client, ClientBuilder, OperationKind,
    layer::{DecodeErrorLayer, JsonLayer},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use tower::{Layer, ServiceExt, util::MapRequestLayer};

use crate::{Passed, Settling, calls, create, key, prompt, revoked};

const HOP: HeaderName = HeaderName::from_static("x-hop");

const TENANT: HeaderName = HeaderName::from_static("x-tenant");

#[tokio::test(start_paused = true)]
async fn lease_is_revoked_although_a_layer_below_json_sets_the_key() {
    let (peer, settling) = (prompt(), Settling::new());
    let keyed = MapRequestLayer::new(|mut request: Request<Body>| {
        let key = HeaderValue::from_static("Bearer of a gateway");
        request.headers_mut().insert(AUTHORIZATION, key);
        request
    });
    let attempts = DecodeErrorLayer::new().layer(keyed.layer(settling.over(peer.clone())));
    let client = Client::new(JsonLayer::new().layer(attempts)).settled_by(&settling.layer);
    let lease = client.lease(create()).await.unwrap();
    lease.revoke().await.unwrap();
    assert_eq!(settling.reports().await, []);
    assert_eq!(peer.ledger().revokes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lease_is_revoked_although_the_clock_of_the_api_is_years_behind() {
    // The peer created its token in 2023.
    let peer = prompt();
    let client = ClientBuilder::over(key(), peer.clone()).build().unwrap();
    let lease = client.lease(create()).await.unwrap();
    lease.revoke().await.unwrap();
    assert!(peer.ledger().is_revoked("act_0"));
}

#[tokio::test(start_paused = true)]
async fn revoke_of_a_lease_passes_each_layer_once_with_the_headers_of_the_create() {
    let passed = Passed::default();
    let client = ClientBuilder::over(key(), prompt())
        .call_layer(MapRequestLayer::new(|mut request: ActorTokenRequest| {
            let headers = request.headers_mut();
            headers.append(HOP, HeaderValue::from_static("a"));
            request
        }))
        .wire_layer(passed.layer())
        .build()
        .unwrap();
    let request = create().header(TENANT, HeaderValue::from_static("acme"));
    let lease = client.lease(request).await.unwrap();
    lease.revoke().await.unwrap();
    let seen = passed.seen();
    assert_eq!(seen.len(), 2);
    for (_, headers) in seen {
        for (name, value) in [(HOP, "a"), (TENANT, "acme")] {
            let values: Vec<_> = headers.get_all(&name).iter().collect();
            assert_eq!(values, [value], "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn revoke_of_a_lost_token_carries_no_header_about_the_body_of_its_create() {
    let (passed, settling) = (Passed::default(), Settling::new());
    let measured = MapRequestLayer::new(|mut request: Request<Body>| {
        let length = HeaderValue::from(request.body().len());
        let headers = request.headers_mut();
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(TENANT, HeaderValue::from_static("acme"));
        request
    });
    let attempt = measured.layer(settling.over(passed.layer().layer(prompt())));
    drop(calls(attempt).oneshot(create()).await.unwrap());
    assert_eq!(settling.reports().await, [revoked("act_0")]);
    let seen = passed.seen();
    let [
        (OperationKind::Create, create),
        (OperationKind::Revoke, revoke),
    ] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert!(create.contains_key(CONTENT_LENGTH) && create.contains_key(CONTENT_TYPE));
    assert!(!revoke.contains_key(CONTENT_LENGTH) && !revoke.contains_key(CONTENT_TYPE));
    assert_eq!(revoke[TENANT], "acme");
}

#[tokio::test(start_paused = true)]
async fn revoke_of_a_lease_carries_no_header_about_the_body_of_its_create() {
    let passed = Passed::default();
    let client = ClientBuilder::over(key(), prompt())
        .wire_layer(passed.layer())
        .build()
        .unwrap();
    let request = create().header(CONTENT_ENCODING, HeaderValue::from_static("identity"));
    let lease = client.lease(request).await.unwrap();
    lease.revoke().await.unwrap();
    let of_body = |(_, headers): (_, HeaderMap)| headers.contains_key(CONTENT_ENCODING);
    let seen: Vec<_> = passed.seen().into_iter().map(of_body).collect();
    assert_eq!(seen, [true, false]);
}
