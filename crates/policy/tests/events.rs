//! Events of the layers. Every test has a subscriber: a thread without one could turn off an event for good by
//! meeting it first.

#[path = "../../../tests/support/capture.rs"]
mod capture;
mod support {
    pub(crate) mod scripted_sink;
}

use std::time::Duration;

use capture::Capture;
use clerk_actor_tokens::{
    Actor, ActorTokenRequest, BoxError, ClerkError, ClerkErrors, ClientBuilder, CreateActorToken,
    Error, RetryConfig,
    client::{CustomTransport, Layers},
    sandbox::{Fault, Sandbox, SandboxTransport},
};
use clerk_actor_tokens_policy::{
    GateLayer, Limit, LimitBy, MemoryGate, MemoryRateLimitStore, RateLimitLayer,
    audit::{AuditBarrierLayer, AuditLayer, MemorySink},
};
use http::StatusCode;
use support::scripted_sink::{Mode, ScriptedSink};
use tower::{filter::FilterLayer, util::option_layer};
use tracing::Level;

const SECOND: Duration = Duration::from_secs(1);

fn over(sandbox: &Sandbox) -> ClientBuilder<Layers, CustomTransport<SandboxTransport>> {
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_subject", Actor::new("user_admin"))
}

/// Returns the level, the message and the time of each event.
fn events(capture: &Capture) -> Vec<(Level, String, String)> {
    let events = capture.events_of("clerk_actor_tokens_policy").into_iter();
    let shown = events.map(|event| {
        let times = [event.field("retry_after_ms"), event.field("wait_ms")].concat();
        (event.level, event.field("message").to_owned(), times)
    });
    shown.collect()
}

/// Returns the messages of this level.
fn messages(capture: &Capture, level: Level) -> Vec<String> {
    let events = events(capture).into_iter();
    let events = events.filter(|event| event.0 == level);
    events.map(|event| event.1).collect()
}

#[tokio::test(start_paused = true)]
async fn gate_and_rate_limit_log_what_they_do_and_for_how_long() {
    let (capture, _guard) = Capture::begin();
    let (sandbox, gate) = (Sandbox::new(), MemoryGate::new());
    let client = |patience| {
        let limit = Limit::new(LimitBy::Global, 100.try_into().unwrap(), SECOND);
        let gate = GateLayer::new(gate.clone(), "account").jitter(Duration::ZERO);
        over(&sandbox)
            .retry(RetryConfig::disabled())
            .call_layer(RateLimitLayer::new(MemoryRateLimitStore::new(), [limit]))
            .attempt_layer(gate.patience(patience))
            .build()
            .unwrap()
    };
    let retry_after = SECOND;
    sandbox.inject(Fault::RateLimited { retry_after });
    client(SECOND).create(create()).await.unwrap_err();
    client(SECOND / 2).create(create()).await.unwrap_err();
    let token = client(SECOND).create(create()).await.unwrap();
    token.expose_url();

    let given_back = "nothing was sent, the units of the rate limits are given back";
    let expected = [
        (Level::INFO, "rate limited, the gate closes", "1000"),
        (Level::INFO, "the attempt was refused", "1000"),
        (Level::DEBUG, given_back, ""),
        (
            Level::DEBUG,
            "the gate is closed, the attempt waits",
            "1000",
        ),
    ];
    let expected = expected.map(|(level, message, time)| (level, message.into(), time.into()));
    assert_eq!(events(&capture), expected);
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
        let client = over(&Sandbox::new())
            .observe_layer(AuditLayer::new(MemorySink::new()))
            .call_layer(option_layer(has_barrier.then(AuditBarrierLayer::new)))
            .call_layer(option_layer(is_refused.then(|| FilterLayer::new(refuse))))
            .build()
            .unwrap();
        assert_eq!(client.create(create()).await.is_err(), is_refused);
        let errors = messages(&capture, Level::ERROR);
        assert_eq!(errors.len(), expected, "{has_barrier} {is_refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn replay_is_an_event_if_there_was_something_to_replay() {
    let (capture, _guard) = Capture::begin();
    let sink = ScriptedSink::new();
    let audit = AuditLayer::new(sink.clone());
    let client = over(&Sandbox::new())
        .observe_layer(audit.clone())
        .call_layer(AuditBarrierLayer::new())
        .build()
        .unwrap();
    audit.replay().await.unwrap();
    assert_eq!(messages(&capture, Level::INFO), [""; 0]);
    sink.once(Mode::Fails);
    client.revoke("act_1").await.unwrap_err();
    audit.replay().await.unwrap();
    assert_eq!(messages(&capture, Level::INFO), ["the spool was replayed"]);
}
