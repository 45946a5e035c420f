//! Events of the audit.

use clerk_actor_tokens::{
    ActorTokenRequest, BoxError, ClerkError, ClerkErrors, ClientBuilder, Error, sandbox::Sandbox,
};
use clerk_actor_tokens_policy::audit::{AuditBarrierLayer, AuditLayer, MemorySink};
use http::StatusCode;
use tower::filter::FilterLayer;
use tracing::Level;

use crate::{Setup, capture::Capture, create, support::scripted_sink::Mode};

/// Returns the messages of this level.
fn messages(capture: &Capture, level: Level) -> Vec<String> {
    let events = capture.events_of("clerk_actor_tokens_policy").into_iter();
    let events = events.filter(|event| event.level == level);
    events
        .map(|event| event.field("message").to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn call_that_was_sent_without_a_barrier_is_an_error_event() {
    let refuse = |_: ActorTokenRequest| -> Result<ActorTokenRequest, BoxError> {
        let errors = ClerkErrors::new(ClerkError::new("closed", "closed", "It is closed."));
        Err(Error::refused(StatusCode::FORBIDDEN, errors).into())
    };
    for (has_barrier, is_refused, expected) in [
        (true, false, 0),
        (true, true, 0),
        (false, true, 0),
        (false, false, 1),
    ] {
        let (capture, _guard) = Capture::begin();
        let sandbox = Sandbox::new();
        let barrier = tower::util::option_layer(has_barrier.then(AuditBarrierLayer::new));
        let refusal = is_refused.then(|| FilterLayer::new(refuse));
        let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
            .observe_layer(AuditLayer::new(MemorySink::new()))
            .call_layer(barrier)
            .call_layer(tower::util::option_layer(refusal))
            .build()
            .unwrap();
        let sent = client.send(create()).await;
        assert_eq!(sent.is_err(), is_refused);
        assert_eq!(
            messages(&capture, Level::ERROR).len(),
            expected,
            "{has_barrier} {is_refused}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn replay_is_an_event_if_there_was_something_to_replay() {
    let (capture, _guard) = Capture::begin();
    let setup = Setup::new();
    let token = setup.claim().await.unwrap();
    setup.audit.replay().await.unwrap();
    assert_eq!(messages(&capture, Level::INFO), [""; 0]);
    setup.sink.once(Mode::Fails);
    setup.client.revoke(token).await.unwrap();
    setup.audit.replay().await.unwrap();
    assert_eq!(messages(&capture, Level::INFO), ["the spool was replayed"]);
}
