//! Both layers keep tower's contract: they call the instance that they polled ready, and a refusal or a
//! drop releases the readiness.

use std::{fmt::Debug, future::ready};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, ActorTokenStatus, Error, ErrorKind, Outcome,
};
use clerk_actor_tokens_policy::audit::{
    AuditBarrierLayer, AuditLayer, AuditSink, JsonLinesSink, MemorySink,
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};

use crate::{
    Setup, create,
    probe::{Probe, check},
    support::scripted_sink::{Mode, ScriptedSink},
};

fn token(_: ActorTokenRequest) -> Result<ActorToken, Error> {
    let id = "act_1".parse().unwrap();
    Ok(ActorToken::new(id, ActorTokenStatus::Revoked))
}

fn revoke() -> ActorTokenRequest {
    ActorTokenRequest::revoke("act_1".parse().unwrap())
}

fn audit() -> AuditLayer<MemorySink> {
    AuditLayer::new(MemorySink::new())
}

#[tokio::test(start_paused = true)]
async fn layers_call_the_instance_that_was_ready() {
    for request in [create as fn() -> _, revoke] {
        check(audit().layer(Probe::new(token)), request).await;
        // The barrier needs the audit above.
        let barrier = AuditBarrierLayer::new().layer(Probe::new(token));
        let typed = clerk_actor_tokens::layer::TypedErrorLayer::new().layer(barrier);
        check(audit().layer(typed), request).await;
    }
}

#[tokio::test(start_paused = true)]
async fn instance_that_was_ready_is_called_after_waiting_for_the_sink() {
    let sink = ScriptedSink::new();
    sink.set(Mode::Delay(crate::SECOND));
    let barrier = AuditBarrierLayer::new().layer(Probe::new(token));
    let typed = clerk_actor_tokens::layer::TypedErrorLayer::new().layer(barrier);
    check(AuditLayer::new(sink).layer(typed), create).await;
}

#[tokio::test(start_paused = true)]
async fn refused_and_dropped_calls_release_the_reserved_readiness() {
    let below = service_fn(|request| ready(token(request)));
    let mut limited = ConcurrencyLimitLayer::new(1).layer(below);
    let sink = ScriptedSink::new();
    let mut audited = AuditLayer::new(sink.clone()).layer(limited.clone());

    sink.once(Mode::Fails);
    let mut refused = std::pin::pin!(audited.ready().await.unwrap().call(create()));
    (&mut refused).await.unwrap_err();
    assert!(futures_util::poll!(std::pin::pin!(limited.ready())).is_ready());
    limited = limited.clone();

    drop(audited.ready().await.unwrap().call(create()));
    assert!(futures_util::poll!(std::pin::pin!(limited.ready())).is_ready());
    limited = limited.clone();

    let mut barrier = AuditBarrierLayer::new().layer(limited.clone());
    let mut refused = std::pin::pin!(barrier.ready().await.unwrap().call(create()));
    (&mut refused).await.unwrap_err();
    assert!(futures_util::poll!(std::pin::pin!(limited.ready())).is_ready());
}

#[tokio::test(start_paused = true)]
async fn call_dropped_after_any_number_of_polls_has_one_end() {
    for polls in 0.. {
        let setup = Setup::new();
        setup.sink.set(Mode::DelayAfter(crate::SECOND));
        setup
            .sandbox
            .inject(clerk_actor_tokens::sandbox::Fault::DelayAfter(
                crate::SECOND,
            ));
        let mut call = Box::pin(setup.client.send(create()));
        let mut is_ready = false;
        for _ in 0..polls {
            is_ready = futures_util::poll!(&mut call).is_ready();
            if is_ready {
                break;
            }
            tokio::time::advance(crate::SECOND / 2).await;
        }
        drop(call);
        setup.sink.set(Mode::Up);
        setup.client.drain(60 * crate::SECOND).await;
        let words = setup.words();
        let is_end = |word: &&String| {
            let ends = ["abandoned", "cancelled", "returned"];
            ends.iter().any(|end| word.starts_with(end))
        };
        let ends = words.iter().filter(is_end).count();
        let begun = words.iter().filter(|word| *word == "begin").count();
        assert_eq!(
            (begun, ends),
            (usize::from(polls > 0), begun),
            "{polls}: {words:?}"
        );
        let ledger = setup.sandbox.ledger();
        assert_eq!(ledger.pending().count(), 0, "{polls}: {words:?}");
        if is_ready {
            assert!(polls > 8, "{polls}");
            return;
        }
    }
}

#[tokio::test]
async fn layers_services_and_sinks_can_be_shared_by_threads() {
    fn assert_shared<T: Clone + Debug + Send + Sync + 'static>(_: &T) {}
    fn assert_sink<T: AuditSink>(_: &T) {}
    let below = ConcurrencyLimitLayer::new(1);
    assert_shared(&audit());
    assert_shared(&audit().layer(below.clone()));
    assert_shared(&AuditBarrierLayer::new().layer(below));
    let path = std::env::temp_dir().join(format!("audit-shared-{}", std::process::id()));
    let sink = JsonLinesSink::open(&path).unwrap();
    assert_shared(&sink);
    assert_sink(&sink);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn call_outside_of_a_runtime_is_not_sent() {
    for (mode, kind, words) in [
        (
            Mode::Up,
            ErrorKind::Runtime,
            &["begin", "sending", "failed not_sent"][..],
        ),
        (Mode::Hangs, ErrorKind::Refused, &[]),
    ] {
        // The sandbox needs no runtime, and neither does the sink.
        let setup = Setup::new();
        setup.sink.set(mode);
        let mut call = std::pin::pin!(setup.client.send(create()));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(Err(error)) = call.as_mut().poll(&mut cx) else {
            panic!("it waits, or was sent");
        };
        assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotSent));
        assert_eq!(setup.words(), words);
        assert_eq!(setup.sandbox.requests(), 0);
    }
}
