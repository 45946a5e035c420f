//! A token that was not returned is an ERROR event, unless it was revoked.

mod support {
    pub(crate) mod capture;
    pub(crate) mod response;
}

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, Body, BoxError, ClientBuilder, CreateActorToken, OperationKind, SecretKey,
};
use http::Request;
use support::{capture::Capture, response::response};
use tower::service_fn;
use tracing::Level;

#[tokio::test(start_paused = true)]
async fn settled_token_is_an_error_event_unless_it_was_revoked() {
    const MINTED: &str = r#"{"id":"act_1","user_id":"user_1"}"#;
    const FOREIGN: &str = r#"{"id":"act_1","user_id":"user_9"}"#;
    const STILL_PENDING: &str = r#"{"id":"act_1","status":"pending"}"#;
    const NOW_ACCEPTED: &str = r#"{"id":"act_1","status":"accepted"}"#;
    const ACCEPTED: &str = r#"{"errors":[{"code":"actor_token_cannot_be_revoked_code","message":"its status is accepted."}]}"#;
    const REVOKED: &str = r#"{"errors":[{"code":"actor_token_cannot_be_revoked_code","message":"its status is revoked."}]}"#;
    let (error, info) = (Level::ERROR, Level::INFO);
    for (minted, revoke, level, end, id, is_exposed) in [
        (MINTED, (200, MINTED), info, "revoked", "act_1", false),
        (
            MINTED,
            (200, STILL_PENDING),
            error,
            "not_revoked",
            "act_1",
            true,
        ),
        (
            MINTED,
            (200, NOW_ACCEPTED),
            error,
            "accepted",
            "act_1",
            false,
        ),
        (MINTED, (404, ""), error, "not_revoked", "act_1", true),
        ("", (404, ""), error, "unknown", "", true),
        (MINTED, (400, ACCEPTED), error, "accepted", "act_1", false),
        (MINTED, (400, REVOKED), info, "revoked", "act_1", false),
        (FOREIGN, (404, ""), error, "foreign", "act_1", true),
    ] {
        let (capture, _guard) = Capture::begin();
        let transport = service_fn(move |request: Request<Body>| async move {
            let kind = request.body().kind();
            let _sent = request.into_body().into_bytes();
            if kind == OperationKind::Revoke {
                return Ok::<_, BoxError>(response(revoke.0, &[], revoke.1));
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(response(200, &[], minted))
        });
        let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
            .attempt_timeout(Duration::from_secs(1))
            .build()
            .unwrap();
        let create = CreateActorToken::new("user_1", Actor::new("user_2"));
        assert!(client.create(create).await.unwrap_err().is_timeout());
        client.drain(Duration::from_secs(60)).await;

        let mut events = capture.events();
        events.retain(|it| !it.field("message").contains("retrying"));
        let event = match &events[..] {
            [event] => event,
            // A response about another user also leaves open what the create minted.
            [event, own] if end == "foreign" && own.field("clerk.settle.end") == "unknown" => event,
            _ => panic!("{end}: {events:?}"),
        };
        let field = |name| event.field(name);
        assert_eq!((event.level, field("clerk.settle.end")), (level, end));
        assert_eq!(field("actor_token.id"), id, "{end}");
        let seconds = field("exposed_until").parse::<u64>();
        assert_eq!(
            seconds.is_ok_and(|it| it > 1_700_000_000),
            is_exposed,
            "{end}"
        );
    }
}
