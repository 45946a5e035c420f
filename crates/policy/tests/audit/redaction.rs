//! No key, ticket, reason or user shows in a `Debug`, an error or a log line of the audit.

use std::{
    fmt::Debug,
    future::{Pending, pending, ready},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, Body, BoxError, ClientBuilder, CreateActorToken, Error,
    SecretKey,
};
use clerk_actor_tokens_policy::{
    Principal,
    audit::{
        AuditBarrierLayer, AuditLayer, AuditLog, AuditSink, AuditWriter, Begin, Entry, MemorySink,
        Spool,
    },
};
use futures_util::poll;
use http::{Request, Response};
use tower::{Layer, Service, service_fn};

use crate::support::{
    marker::{MINTED, assert_error_hides_it, assert_hidden, collect_log, log},
    scripted_sink::{Mode, ScriptedSink},
};

fn request() -> ActorTokenRequest {
    let actor = Actor::new("MARKER").claim("reason", "MARKER");
    let create = CreateActorToken::new("user_MARKER", actor);
    let mut request = ActorTokenRequest::create(create).header("x-signature", "MARKER");
    let principal = Principal::new("MARKER").group("MARKER");
    request.extensions_mut().insert(principal);
    request
}

/// A log that cannot be written.
struct Broken;

impl Broken {
    const ERROR: &str = "the log of this test is broken";
}

impl AuditLog for Broken {
    fn append(&mut self, _: &[Entry]) -> Result<(), BoxError> {
        Err(Self::ERROR.into())
    }
}

#[tokio::test(start_paused = true)]
async fn errors_and_events_show_no_secret() {
    collect_log();
    let transport = service_fn(|request: Request<Body>| {
        let sent = request.into_body().into_bytes();
        ready(sent.map(|_| Response::new(MINTED.to_owned())))
    });
    let sink = ScriptedSink::new();
    let audit = AuditLayer::new(sink.clone());
    let client = ClientBuilder::over(SecretKey::new("sk_test_MARKER").unwrap(), transport)
        .on_settle(audit.on_settle())
        .observe_layer(audit.clone())
        .call_layer(AuditBarrierLayer::new())
        .build()
        .unwrap();
    for writes in 0..4 {
        for _ in 0..writes {
            sink.once(Mode::Up);
        }
        sink.once(Mode::Fails);
        match client.send(request()).await {
            Ok(token) => assert_hidden(&token),
            Err(error) => assert_error_hides_it(&error),
        }
        sink.set(Mode::Up);
    }
    sink.set(Mode::Fails);
    for _ in 0..4 {
        drop(client.send(request()).await);
    }
    let revoke = ActorTokenRequest::revoke("act_1".parse().unwrap());
    drop(client.send(revoke).await);
    sink.set(Mode::Up);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let unmarked = audit.layer(service_fn(|_: ActorTokenRequest| {
        let id = "act_1".parse().unwrap();
        let status = clerk_actor_tokens::ActorTokenStatus::Pending;
        ready(Ok::<_, Error>(ActorToken::new(id, status)))
    }));
    tower::ServiceExt::oneshot(unmarked, request())
        .await
        .unwrap();

    let writer = AuditWriter::start(Broken).unwrap();
    for _ in 0..3 {
        let error = writer.flush().await.unwrap_err();
        assert_eq!(error.to_string(), "could not write the audit");
    }

    let logged = log();
    let failures = logged.lines().filter(|line| line.contains(Broken::ERROR));
    assert_eq!(
        failures.count(),
        1,
        "a log that goes on failing is logged once"
    );
    for (level, message) in [
        ("DEBUG", "audit written"),
        ("WARN", "could not write the audit"),
        ("ERROR", "the audit is unavailable, creates are refused"),
        ("INFO", "the audit is available again"),
        ("WARN", "a create was refused"),
        ("ERROR", "a token was withheld"),
        ("WARN", "the audit of a call went to the spool"),
        ("INFO", "the spool was replayed"),
        ("ERROR", "a call was sent without an AuditBarrierLayer"),
    ] {
        let is_it = |line: &str| {
            line.contains(message)
                && line.contains(level)
                && line.contains("clerk_actor_tokens_policy")
        };
        assert!(
            logged.lines().any(is_it),
            "no {level} {message} in {logged}"
        );
    }
}

/// A future that shows its response.
#[derive(Debug)]
struct Revealing<E>(
    #[allow(dead_code, reason = "it is read through Debug")] &'static str,
    Pending<Result<ActorToken, E>>,
);

impl<E> Future for Revealing<E> {
    type Output = Result<ActorToken, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.1).poll(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn futures_in_flight_layers_and_entries_show_no_secret() {
    let revealing = |_: ActorTokenRequest| Revealing::<BoxError>(MINTED, pending());
    let barrier = AuditBarrierLayer::new().layer(service_fn(revealing));
    let typed = clerk_actor_tokens::layer::TypedErrorLayer::new().layer(barrier);
    let sink = MemorySink::new();
    let audit = AuditLayer::new(sink.clone());
    assert_hidden(&audit);
    let mut service = audit.layer(typed);
    let mut call = Box::pin(service.call(request()));
    assert_hidden(&call);
    for _ in 0..3 {
        assert!(poll!(&mut call).is_pending());
        assert_hidden(&call);
    }
    let mut barrier = barrier;
    assert_hidden(&barrier.call(request()));
    assert_hidden(&Begin::of(&request()).asked);
    assert_hidden(&sink.entries());
    let id = clerk_actor_tokens_policy::CallId::create();
    assert_hidden(&sink.begin(id, Begin::of(&request())).await.unwrap());
    assert_hidden(&sink);
    assert_hidden(&Spool::in_memory());
}
