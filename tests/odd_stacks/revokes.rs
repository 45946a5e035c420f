//! A revoke carries what the create carried that it is for, and what is true of it.

use clerk_actor_tokens::{
    ActorTokenRequest, Body, Client, ClientBuilder, OperationKind,
    layer::{CollectBodyLayer, DecodeErrorLayer, JsonLayer},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use tower::{Layer, ServiceExt, util::MapRequestLayer};

use crate::{
    Passed, SECOND, Settling, calls, create, hedged, key, numbered, prompt, revoked,
    support::peer::{Content, Exchange, Pause, Peer},
};

const HOP: HeaderName = HeaderName::from_static("x-hop");

/// Tells for which tenant a request is.
const TENANT: HeaderName = HeaderName::from_static("x-tenant");

#[tokio::test(start_paused = true)]
async fn a_lease_is_revoked_though_a_layer_below_json_set_the_key() {
    let (peer, settling) = (prompt(), Settling::new());
    let keyed = MapRequestLayer::new(|mut request: Request<Body>| {
        let key = HeaderValue::from_static("Bearer of a gateway");
        request.headers_mut().insert(AUTHORIZATION, key);
        request
    });
    let attempts = keyed.layer(settling.over(peer.clone()));
    let client = Client::new(JsonLayer::new().layer(attempts)).settled_by(&settling.layer);
    let lease = client.lease(create()).await.unwrap();
    lease.revoke().await.unwrap();
    assert_eq!(settling.told().await, []);
    assert_eq!(peer.ledger().revokes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_revoke_of_a_lease_is_given_by_each_layer_once_what_the_create_was() {
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
        for (name, given) in [(HOP, "a"), (TENANT, "acme")] {
            let values: Vec<_> = headers.get_all(&name).iter().collect();
            assert_eq!(values, [given], "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_tells_of_the_body_of_a_create_is_not_told_of_its_revoke() {
    let (passed, settling) = (Passed::default(), Settling::new());
    let measured = MapRequestLayer::new(|mut request: Request<Body>| {
        let length = HeaderValue::from(request.body().len());
        let headers = request.headers_mut();
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(TENANT, HeaderValue::from_static("acme"));
        request
    });
    let settled = measured.layer(settling.over(passed.layer().layer(prompt())));
    drop(calls(settled).oneshot(create()).await.unwrap());
    assert_eq!(settling.told().await, [revoked("act_0")]);
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
async fn a_revoke_that_was_asked_twice_at_once_is_done_when_the_second_is_too_late() {
    let peer = Peer::new(|asked| match asked.before {
        0 => Exchange {
            before_head: Pause::time(5 * SECOND),
            ..Exchange::prompt()
        },
        _ => Exchange {
            content: Content::CannotBeRevoked("revoked"),
            ..Exchange::refusal(400, None)
        },
    });
    let collected = CollectBodyLayer::default().layer(peer);
    let either = hedged(
        DecodeErrorLayer::new().layer(collected),
        async |one, other| {
            let later = async {
                tokio::time::sleep(SECOND).await;
                other.await
            };
            tokio::select! { answer = one => answer, answer = later => answer }
        },
    );
    let revoke = numbered(ActorTokenRequest::revoke("act_0".parse().unwrap()));
    calls(either).oneshot(revoke).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_revoke_of_a_lease_says_nothing_of_a_body() {
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
