//! The barrier: once a call, also for clones and tasks.

use std::{
    future::pending,
    sync::{Arc, Mutex},
};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, BoxError, ClientBuilder, ErrorKind, Outcome, sandbox::Sandbox,
};
use clerk_actor_tokens_policy::audit::{AuditBarrierLayer, AuditLayer};
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::{
    SECOND, create,
    support::scripted_sink::{Mode, ScriptedSink},
    words,
};

type Inner = BoxCloneSyncService<ActorTokenRequest, ActorToken, BoxError>;

/// Makes a call through an audit in memory, a layer that sends the request by `send`, and the barrier.
async fn send_by<F>(
    sink: &ScriptedSink,
    send: impl Fn(Inner, ActorTokenRequest) -> F + Clone + Send + Sync + 'static,
    inner: impl Service<ActorTokenRequest, Response = ActorToken, Error = BoxError, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static,
) -> Result<ActorToken, clerk_actor_tokens::Error>
where
    F: Future<Output = Result<ActorToken, BoxError>> + Send + 'static,
{
    let barrier = Inner::new(AuditBarrierLayer::new().layer(inner));
    let layer = service_fn(move |request| send(barrier.clone(), request));
    let typed = clerk_actor_tokens::layer::TypedErrorLayer::new().layer(layer);
    let audited = AuditLayer::new(sink.clone()).layer(typed);
    audited.oneshot(create()).await
}

fn token() -> Result<ActorToken, BoxError> {
    let status = clerk_actor_tokens::ActorTokenStatus::Pending;
    Ok(ActorToken::new("act_1".parse()?, status))
}

#[tokio::test(start_paused = true)]
async fn barrier_without_an_audit_refuses_every_call() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(AuditBarrierLayer::new())
        .build()
        .unwrap();
    for request in [
        create(),
        ActorTokenRequest::revoke("act_1".parse().unwrap()),
    ] {
        let error = client.send(request).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Refused, Outcome::NotSent)
        );
        assert_eq!(error.code(), Some("audit_unavailable"));
    }
    assert_eq!(sandbox.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_request_wait_for_one_mark() {
    let sink = ScriptedSink::new();
    sink.once(Mode::Up);
    sink.once(Mode::Delay(SECOND));
    let counted = sink.clone();
    let inner = service_fn(move |_: ActorTokenRequest| {
        // The mark is there before either clone gets here.
        assert_eq!(words(&counted.memory), ["begin", "sending"]);
        async { token() }
    });
    let twice = async |inner: Inner, request: ActorTokenRequest| {
        let first = inner.clone().oneshot(request.clone());
        let both = tokio::join!(first, inner.oneshot(request));
        both.0.and(both.1)
    };
    send_by(&sink, twice, inner).await.unwrap();
    assert_eq!(words(&sink.memory), ["begin", "sending", "returned"]);
}

#[tokio::test(start_paused = true)]
async fn clone_whose_mark_was_given_up_leaves_the_record_to_the_next() {
    let sink = ScriptedSink::new();
    sink.once(Mode::Up);
    sink.once(Mode::Hangs);
    let inner = service_fn(|_: ActorTokenRequest| async { token() });
    let again = async |inner: Inner, request: ActorTokenRequest| {
        let first = inner.clone().oneshot(request.clone());
        assert!(tokio::time::timeout(SECOND, first).await.is_err());
        inner.oneshot(request).await
    };
    send_by(&sink, again, inner).await.unwrap();
    assert_eq!(words(&sink.memory), ["begin", "sending", "returned"]);
}

#[tokio::test(start_paused = true)]
async fn call_that_ends_while_a_task_writes_its_mark_has_one_end_and_is_not_sent() {
    let sink = ScriptedSink::new();
    sink.once(Mode::Up);
    sink.once(Mode::Delay(SECOND));
    let sent = Arc::new(Mutex::new(0));
    let count = Arc::clone(&sent);
    let inner = service_fn(move |_: ActorTokenRequest| {
        *count.lock().unwrap() += 1;
        pending::<Result<ActorToken, BoxError>>()
    });
    let spawning = async |inner: Inner, request| tokio::spawn(inner.oneshot(request)).await?;
    let call = tokio::time::timeout(SECOND / 2, send_by(&sink, spawning, inner));
    assert!(call.await.is_err());
    assert_eq!(words(&sink.memory), ["begin"]);
    tokio::time::sleep(SECOND).await;
    assert_eq!(
        words(&sink.memory),
        ["begin", "sending", "cancelled not_sent"]
    );
    assert_eq!(*sent.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn task_that_comes_after_the_end_of_its_call_is_refused() {
    let sink = ScriptedSink::new();
    let (late, result) = tokio::sync::oneshot::channel();
    let late = Arc::new(Mutex::new(Some(late)));
    let inner = service_fn(|_: ActorTokenRequest| async { token() });
    let spawning = move |inner: Inner, request| {
        let late = late.lock().unwrap().take().unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(SECOND).await;
            late.send(inner.oneshot(request).await).unwrap();
        });
        async { Err("too late".into()) }
    };
    send_by(&sink, spawning, inner).await.unwrap_err();
    let error = result.await.unwrap().unwrap_err();
    let error = error.downcast::<clerk_actor_tokens::Error>().unwrap();
    assert_eq!(error.code(), Some("audit_unavailable"));
    assert_eq!(words(&sink.memory), ["begin", "failed not_sent"]);
}

#[tokio::test(start_paused = true)]
async fn barrier_that_refuses_releases_the_readiness_below() {
    let sink = ScriptedSink::new();
    sink.once(Mode::Up);
    sink.once(Mode::Fails);
    let inner = service_fn(|_: ActorTokenRequest| async { token() });
    let limited = tower::limit::ConcurrencyLimitLayer::new(1).layer(inner);
    let send = |inner: Inner, request| inner.oneshot(request);
    send_by(&sink, send, limited.clone()).await.unwrap_err();
    send_by(&sink, send, limited.clone()).await.unwrap();

    // Without an audit it refuses. The instance that was polled ready is kept.
    let mut barrier = AuditBarrierLayer::new().layer(limited.clone());
    let refused = barrier.ready().await.unwrap().call(create());
    refused.await.unwrap_err();
    let other = tokio::time::timeout(SECOND, limited.oneshot(create()));
    other.await.unwrap().unwrap();
}
