//! How calls end.

use std::{panic::resume_unwind, sync::Arc};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, BoxError, ClerkError, ClerkErrors, ClientBuilder, Error,
    Outcome,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_policy::{
    CallId,
    audit::{AuditBarrierLayer, AuditLayer, End, Event, MemorySink},
};
use futures_util::{FutureExt, poll};
use http::StatusCode;
use tower::{Service, filter::FilterLayer, limit::ConcurrencyLimitLayer, util::MapResultLayer};

use crate::{SECOND, Setup, create, support::scripted_sink::Mode, words};

#[tokio::test(start_paused = true)]
async fn create_and_revoke_that_succeed_have_three_entries_each() {
    let setup = Setup::new();
    let id = setup.claim().await.unwrap();
    setup.client.revoke(id).await.unwrap();
    let three = ["begin", "sending", "returned"];
    assert_eq!(setup.words(), [three, three].concat());
    let entries = setup.sink.memory.entries();
    assert!(
        entries[..3]
            .iter()
            .all(|entry| entry.call == entries[0].call)
    );
    assert!(entries[2].call < entries[3].call);
}

#[tokio::test(start_paused = true)]
async fn failed_call_ends_with_the_outcome_of_its_error() {
    for (fault, outcome) in [
        (Fault::Status(StatusCode::NOT_FOUND), Outcome::Rejected),
        (Fault::DisconnectAfter, Outcome::Unknown),
        (Fault::Truncate(200), Outcome::Applied),
    ] {
        let setup = Setup::new();
        setup.sandbox.inject(fault);
        let error = setup.client.send(create()).await.unwrap_err();
        assert_eq!(error.outcome(), outcome);
        assert_eq!(setup.words()[..2], ["begin", "sending"]);
        assert!(setup.words().contains(&format!("failed {outcome}")));
    }
}

#[tokio::test(start_paused = true)]
async fn call_that_a_layer_refuses_ends_as_refused_with_its_rule() {
    let (sandbox, sink) = (Sandbox::new(), MemorySink::new());
    let denied = ClerkError::new("denied", "denied", "Not allowed.").with_meta("rule", "subjects");
    let refusing = FilterLayer::new(move |_: ActorTokenRequest| {
        let errors = ClerkErrors::new(denied.clone());
        Err::<ActorTokenRequest, _>(Error::refused(StatusCode::FORBIDDEN, errors))
    });
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .observe_layer(AuditLayer::new(sink.clone()))
        .call_layer(refusing)
        .call_layer(AuditBarrierLayer::new())
        .build()
        .unwrap();
    client.send(create()).await.unwrap_err();
    assert_eq!(words(&sink), ["begin", "refused denied"]);
    let Event::End(End::Refused { status, rule, .. }) = &sink.entries()[1].event else {
        panic!("{:?}", sink.entries());
    };
    assert_eq!((*status, rule.as_deref()), (Some(403), Some("subjects")));
    assert_eq!(sandbox.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn cancelled_call_has_an_end_with_its_outcome_so_far() {
    for (fault, outcome) in [
        (Fault::HangAfter, Outcome::Unknown),
        (
            Fault::RateLimited {
                retry_after: SECOND,
            },
            Outcome::Rejected,
        ),
    ] {
        let setup = Setup::new();
        setup.sandbox.inject(fault);
        let call = tokio::time::timeout(SECOND / 2, setup.client.send(create()));
        assert!(call.await.is_err());
        let cancelled = format!("cancelled {outcome}");
        assert_eq!(setup.words(), ["begin", "sending", &cancelled]);
    }
}

#[tokio::test(start_paused = true)]
async fn call_dropped_while_a_call_layer_is_not_ready_has_an_end() {
    let (sandbox, sink) = (Sandbox::new(), MemorySink::new());
    sandbox.inject(Fault::HangAfter);
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .observe_layer(AuditLayer::new(sink.clone()))
        .call_layer(ConcurrencyLimitLayer::new(1))
        .call_layer(AuditBarrierLayer::new())
        .build()
        .unwrap();
    let mut busy = Box::pin(client.send(create()));
    assert!(poll!(&mut busy).is_pending());
    let waiting = tokio::time::timeout(SECOND, client.send(create()));
    assert!(waiting.await.is_err());
    let recorded = ["begin", "sending", "begin", "cancelled not_sent"];
    assert_eq!(words(&sink), recorded);
    assert_eq!(sandbox.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn call_that_is_never_polled_is_not_recorded() {
    let mut setup = Setup::new();
    drop(setup.client.call(create()));
    assert!(setup.words().is_empty());
    assert_eq!(setup.sink.writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn call_whose_layer_panics_ends_as_panicked() {
    let (sandbox, sink) = (Sandbox::new(), MemorySink::new());
    let panicking = MapResultLayer::new(|result: Result<ActorToken, BoxError>| {
        drop(result);
        resume_unwind(Box::new("a layer")) as Result<ActorToken, BoxError>
    });
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .observe_layer(AuditLayer::new(sink.clone()))
        .call_layer(AuditBarrierLayer::new())
        .call_layer(panicking)
        .build()
        .unwrap();
    let call = std::panic::AssertUnwindSafe(client.send(create()));
    assert!(call.catch_unwind().await.is_err());
    assert_eq!(words(&sink)[..3], ["begin", "sending", "panicked applied"]);
}

#[tokio::test(start_paused = true)]
async fn call_of_a_task_that_panics_elsewhere_ends_as_cancelled() {
    let setup = Setup::new();
    setup.sandbox.inject(Fault::HangAfter);
    let client = setup.client.clone();
    let task = tokio::spawn(async move {
        let mut call = Box::pin(client.send(create()));
        assert!(futures_util::poll!(&mut call).is_pending());
        tokio::time::sleep(SECOND).await;
        resume_unwind(Box::new("the task"))
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(setup.words().last().unwrap(), "cancelled unknown");
}

#[tokio::test(start_paused = true)]
async fn begin_that_is_dropped_after_it_was_durable_is_abandoned() {
    for mode in [Mode::DelayAfter(2 * SECOND), Mode::HangsAfter] {
        let setup = Setup::new();
        setup.sink.once(mode);
        let call = tokio::time::timeout(SECOND, setup.client.send(create()));
        assert!(call.await.is_err());
        assert_eq!(setup.words(), ["begin", "abandoned"]);
        assert_eq!(setup.sandbox.requests(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn call_that_is_dropped_while_its_end_is_written_has_that_end() {
    let setup = Setup::new();
    for _ in 0..2 {
        setup.sink.once(Mode::Up);
    }
    setup.sink.once(Mode::Delay(SECOND));
    let call = tokio::time::timeout(SECOND / 2, setup.client.send(create()));
    assert!(call.await.is_err());
    let mut words = setup.words();
    words.sort_unstable();
    assert_eq!(words, ["Withheld", "begin", "returned", "sending"]);
    setup.client.drain(60 * SECOND).await;
    assert_eq!(setup.sandbox.ledger().revoked().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn token_that_is_dropped_unread_has_a_follow_up() {
    let setup = Setup::new();
    drop(setup.client.send(create()).await.unwrap());
    setup.client.drain(60 * SECOND).await;
    assert_eq!(
        setup.words(),
        ["begin", "sending", "returned", "settled revoked"]
    );
    let entries = setup.sink.memory.entries();
    assert_eq!(entries[3].call, entries[0].call);
}

#[tokio::test(start_paused = true)]
async fn call_id_is_never_taken_from_the_caller() {
    let setup = Setup::new();
    let mut request = create();
    let own = CallId::create();
    request.extensions_mut().insert(own);
    setup.client.send(request.clone()).await.unwrap();
    setup.client.send(request).await.unwrap();
    let entries = setup.sink.memory.entries();
    assert!(entries.iter().all(|entry| entry.call != own));
    assert_ne!(entries[0].call, entries[3].call);
}

#[tokio::test(start_paused = true)]
async fn wrapped_client_is_recorded_once_more() {
    let setup = Setup::new();
    let outer = Arc::new(MemorySink::new());
    let client = setup
        .client
        .clone()
        .wrap(AuditLayer::new(Arc::clone(&outer)));
    setup.sandbox.inject(Fault::HangAfter);
    let call = tokio::time::timeout(SECOND, client.send(create()));
    assert!(call.await.is_err());
    assert_eq!(words(&outer), ["begin", "cancelled unknown"]);
    assert_eq!(setup.words(), ["begin", "sending", "cancelled unknown"]);
}
