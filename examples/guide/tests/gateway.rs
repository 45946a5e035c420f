//! The gateway of its page serves the wire protocol under its policy.

/// The program of the page.
#[allow(dead_code, reason = "the test does not run its `main`")]
mod page {
    include!(concat!(env!("OUT_DIR"), "/gateway.rs"));

    pub(super) fn served(sandbox: &Sandbox, sink: impl AuditSink) -> anyhow::Result<Router> {
        let config = toml::from_str(super::POLICY)?;
        let keys = AcceptedKeys::new();
        keys.set("helpdesk", [SecretKey::new(super::KEY)?])?;
        Ok(app(client(sandbox, AuditLayer::new(sink), config)?, keys))
    }
}

use axum::body::Body;
use clerk_actor_tokens::sandbox::Sandbox;
use clerk_actor_tokens_policy::audit::{End, Event, MemorySink};
use http::{Request, StatusCode};
use tower::ServiceExt;

const POLICY: &str = include_str!(concat!(env!("OUT_DIR"), "/policy.toml"));
const KEY: &str = "sk_test_q8Zt3vN0cXwL5rYd";

fn create(actor: &str, reason: Option<&str>) -> Request<Body> {
    let json = format!(r#"{{"user_id": "user_customer", "actor": {{"sub": "{actor}"}}}}"#);
    let request = Request::post("/v1/actor_tokens")
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json");
    let request = match reason {
        Some(reason) => request.header("x-impersonation-reason", reason),
        None => request,
    };
    request.body(json.into()).unwrap()
}

#[tokio::test]
async fn gateway_mints_what_its_policy_allows_and_records_every_call() {
    let (sandbox, sink) = (Sandbox::new(), MemorySink::new());
    let gateway = page::served(&sandbox, sink.clone()).unwrap();
    let reason = Some("ticket 4711: cannot log in");
    for (request, status) in [
        (create("user_ann", reason), StatusCode::OK),
        (create("user_ann", None), StatusCode::UNPROCESSABLE_ENTITY),
        (create("bot_ann", reason), StatusCode::FORBIDDEN),
    ] {
        let response = gateway.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
    }

    let ledger = sandbox.ledger();
    let minted: Vec<_> = ledger.minted().map(|token| token.actor()).collect();
    let [actor] = minted[..] else {
        panic!("{} tokens", minted.len());
    };
    assert_eq!(
        (actor.sub(), &actor.claims()["by"]),
        ("user_ann", &"helpdesk".into())
    );

    let entries = sink.entries();
    let ends = entries.iter().filter_map(|entry| match &entry.event {
        Event::End(End::Returned { .. }) => Some("returned"),
        Event::End(End::Refused { .. }) => Some("refused"),
        Event::End(_) => Some("other"),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), ["returned", "refused", "refused"]);
}
