//! Calls while the sink is slow or unavailable.

use clerk_actor_tokens::{
    ErrorKind, Outcome,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_policy::audit::{AuditLayer, Entry, MemorySink, Note, Spool};
use tokio::time::Instant;

use crate::{
    SECOND, Setup, create,
    support::scripted_sink::{Mode, ScriptedSink},
};

/// Makes the next writes succeed, and the one after them do this.
fn after(writes: usize, sink: &ScriptedSink, mode: Mode) {
    for _ in 0..writes {
        sink.once(Mode::Up);
    }
    sink.once(mode);
}

/// Sends a create that must be refused without being sent, and returns how long that took.
async fn refused(setup: &Setup) -> std::time::Duration {
    let (begun, requests) = (Instant::now(), setup.sandbox.requests());
    let error = setup.claim().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Refused, Outcome::NotSent)
    );
    assert_eq!(error.code(), Some("audit_unavailable"));
    assert_eq!(error.status().map(|status| status.as_u16()), Some(503));
    assert_eq!(error.retry_after(), Some(SECOND));
    assert_eq!(setup.sandbox.requests(), requests);
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_its_begin_and_its_mark_are_durable() {
    for writes in [0, 1] {
        let setup = Setup::new();
        after(writes, &setup.sink, Mode::Delay(SECOND));
        let call = setup.claim();
        let mut call = std::pin::pin!(call);
        assert!(futures_util::poll!(&mut call).is_pending());
        tokio::time::advance(SECOND / 2).await;
        assert!(futures_util::poll!(&mut call).is_pending());
        assert_eq!(setup.sandbox.requests(), 0);
        call.await.unwrap();
        assert_eq!(setup.sandbox.requests(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn caller_waits_until_the_end_is_durable() {
    let setup = Setup::new();
    after(2, &setup.sink, Mode::Delay(SECOND));
    let begun = Instant::now();
    setup.claim().await.unwrap();
    assert_eq!(begun.elapsed(), SECOND);
    assert_eq!(setup.words(), ["begin", "sending", "returned"]);
}

#[tokio::test(start_paused = true)]
async fn create_without_a_durable_begin_or_mark_is_refused() {
    for (writes, mode, time, words) in [
        (0, Mode::Fails, 0, &[][..]),
        (0, Mode::Hangs, 2, &[]),
        (0, Mode::HangsAfter, 2, &["begin", "abandoned"]),
        (1, Mode::Fails, 0, &["begin", "refused audit_unavailable"]),
        (1, Mode::Hangs, 2, &["begin", "refused audit_unavailable"]),
    ] {
        let setup = Setup::new();
        after(writes, &setup.sink, mode);
        assert_eq!(refused(&setup).await, time * SECOND);
        assert_eq!(setup.words(), words);
        setup.claim().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn sink_that_hangs_delays_three_creates_and_then_none_and_revokes_pass() {
    let setup = Setup::new();
    let token = setup.claim().await.unwrap();
    setup.sink.set(Mode::Hangs);
    for _ in 0..3 {
        assert_eq!(refused(&setup).await, 2 * SECOND);
    }
    for _ in 0..5 {
        assert!(refused(&setup).await.is_zero());
        tokio::time::advance(7 * SECOND).await;
    }
    let begun = Instant::now();
    setup.client.revoke(token).await.unwrap();
    assert!(begun.elapsed().is_zero());
    assert_eq!(setup.sandbox.ledger().revoked().count(), 1);
    assert_eq!(setup.words(), ["begin", "sending", "returned"]);

    // A probe is in flight for two seconds at most, and the next one comes a second later.
    setup.sink.set(Mode::Up);
    tokio::time::sleep(3 * SECOND).await;
    setup.claim().await.unwrap();
    let late = ["late begin", "late sending", "late returned"];
    let three = ["begin", "sending", "returned"];
    assert_eq!(setup.words(), [three, late, three].concat());
}

#[tokio::test(start_paused = true)]
async fn sink_that_fails_three_times_is_probed_every_second() {
    let setup = Setup::new();
    setup.sink.set(Mode::Fails);
    for _ in 0..3 {
        refused(&setup).await;
    }
    tokio::time::sleep(SECOND / 2).await;
    for probes in 1..5 {
        tokio::time::sleep(SECOND).await;
        assert!(refused(&setup).await.is_zero());
        assert_eq!(setup.sink.writes(), 3 + probes);
    }
    setup.sink.set(Mode::Up);
    tokio::time::sleep(SECOND).await;
    setup.claim().await.unwrap();
    let writes = setup.sink.writes();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(
        setup.sink.writes(),
        writes,
        "an available sink is not probed"
    );
}

#[tokio::test(start_paused = true)]
async fn two_failures_and_a_success_do_not_close_the_sink() {
    let setup = Setup::new();
    for _ in 0..3 {
        setup.sink.set(Mode::Hangs);
        assert_eq!(refused(&setup).await, 2 * SECOND);
        assert_eq!(refused(&setup).await, 2 * SECOND);
        setup.sink.set(Mode::Up);
        setup.claim().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn revoke_that_cannot_be_recorded_is_sent_and_recorded_later() {
    for (writes, words) in [
        (0, &["late begin", "late sending", "late returned"][..]),
        (1, &["begin", "returned", "late sending"]),
        (2, &["begin", "sending", "returned"]),
    ] {
        let setup = Setup::new();
        let token = setup.claim().await.unwrap();
        after(writes, &setup.sink, Mode::Hangs);
        let begun = Instant::now();
        setup.client.revoke(token).await.unwrap();
        assert_eq!(begun.elapsed(), 2 * SECOND);
        assert_eq!(setup.sandbox.ledger().revoked().count(), 1);
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(setup.words()[3..], *words);
    }
}

#[tokio::test(start_paused = true)]
async fn create_whose_end_is_not_durable_fails_and_its_token_is_revoked() {
    for (mode, time) in [(Mode::Fails, 0), (Mode::FailsAfter, 0), (Mode::Hangs, 2)] {
        let setup = Setup::new();
        after(2, &setup.sink, mode);
        let begun = Instant::now();
        let error = setup.client.send(create()).await.unwrap_err();
        assert_eq!(begun.elapsed(), time * SECOND);
        assert_eq!(
            (error.code(), error.outcome()),
            (Some("audit_unavailable"), Outcome::Applied)
        );
        let minted = setup.sandbox.ledger().minted().next().unwrap().id().clone();
        assert_eq!(error.actor_token_id(), Some(&minted));
        setup.client.drain(60 * SECOND).await;
        assert_eq!(setup.sandbox.ledger().revoked().count(), 1);
        assert_eq!(
            setup.words(),
            [
                "begin",
                "sending",
                "returned",
                "Withheld",
                "settled revoked"
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn failed_call_is_returned_even_if_its_end_is_not_durable() {
    let setup = Setup::new();
    setup.sandbox.inject(Fault::DisconnectAfter);
    after(2, &setup.sink, Mode::Hangs);
    let error = setup.client.send(create()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Transport, Outcome::Unknown)
    );
    assert!(setup.words().contains(&"failed unknown".to_owned()));
}

#[tokio::test]
async fn create_whose_end_is_durable_in_a_spool_is_returned() {
    let path = std::env::temp_dir().join(format!("spool-of-ends-{}", std::process::id()));
    let sink = ScriptedSink::new();
    let audit = AuditLayer::with_spool(sink.clone(), Spool::open(&path).unwrap());
    let setup = Setup::with(audit, sink);
    after(2, &setup.sink, Mode::Fails);
    setup.claim().await.unwrap();
    let spooled = std::fs::read_to_string(&path).unwrap();
    assert!(spooled.contains(r#""end":"returned""#), "{spooled}");
    setup.audit.replay().await.unwrap();
    assert_eq!(
        setup.words(),
        ["begin", "sending", "returned", "late returned"]
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn spool_of_an_earlier_process_is_replayed() {
    let path = std::env::temp_dir().join(format!("spool-of-earlier-{}", std::process::id()));
    let open = || {
        let sink = ScriptedSink::new();
        let audit = AuditLayer::with_spool(sink.clone(), Spool::open(&path).unwrap());
        Setup::with(audit, sink)
    };
    let first = open();
    first.sink.set(Mode::Fails);
    first.client.revoke("act_1").await.unwrap_err();
    assert!(first.audit.replay().await.is_err());
    drop(first);

    let second = open();
    second.audit.replay().await.unwrap();
    assert_eq!(
        second.words(),
        ["late begin", "late sending", "late failed rejected"]
    );
    second.audit.replay().await.unwrap();
    assert_eq!(second.words().len(), 3);
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn spool_that_ends_within_a_character_is_replayed() {
    let path = std::env::temp_dir().join(format!("spool-within-{}", std::process::id()));
    let entry = Entry::note(Note::new("whole"));
    let mut spooled = serde_json::to_vec(&entry).unwrap();
    spooled.extend(b"\n{\"reason\":\"St\xc3");
    for is_being_replayed in [false, true] {
        std::fs::write(&path, &spooled).unwrap();
        if is_being_replayed {
            std::fs::write(path.with_extension("replay"), &spooled).unwrap();
        }
        let sink = MemorySink::new();
        let audit = AuditLayer::with_spool(sink.clone(), Spool::open(&path).unwrap());
        audit.replay().await.unwrap();
        let entries = sink.entries();
        assert_eq!((entries.len(), entries[0].call), (1, entry.call));
    }
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(start_paused = true)]
async fn spool_of_an_earlier_process_is_replayed_once_a_call_begins() {
    let path = std::env::temp_dir().join(format!("spool-of-old-{}", std::process::id()));
    let open = || {
        let sink = ScriptedSink::new();
        let audit = AuditLayer::with_spool(sink.clone(), Spool::open(&path).unwrap());
        Setup::with(audit, sink)
    };
    // A blocking task keeps the clock from advancing while the thread of the spool writes.
    let (end, until_end) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || until_end.recv());
    let first = open();
    first.sink.set(Mode::Fails);
    first.client.revoke("act_1").await.unwrap_err();
    drop(first);

    let second = open();
    second.claim().await.unwrap();
    assert_eq!(second.words(), ["begin", "sending", "returned"]);
    // The task that replays has begun its wait before the clock advances.
    tokio::task::yield_now().await;
    tokio::time::advance(SECOND).await;
    // The thread of the spool takes real time, which the paused clock does not show.
    for _ in 0..5_000_000 {
        if second.words().len() == 6 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let late = ["late begin", "late sending", "late failed rejected"];
    assert_eq!(second.words()[3..], late);
    // Waits for the task, which still removes the entries.
    second.audit.replay().await.unwrap();
    assert_eq!(second.words().len(), 6);
    drop(end);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn spool_is_replayed_on_another_runtime_if_the_first_one_has_ended() {
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true).build().unwrap()
    };
    let setup = Setup::new();
    runtime().block_on(async {
        setup.sink.set(Mode::Fails);
        setup.client.revoke("act_1").await.unwrap_err();
        // The task that replays has begun.
        tokio::task::yield_now().await;
    });
    setup.sink.set(Mode::Up);
    runtime().block_on(async {
        setup.client.revoke("act_1").await.unwrap_err();
        tokio::time::sleep(2 * SECOND).await;
    });
    let late = ["late begin", "late sending", "late failed rejected"];
    assert_eq!(setup.words()[3..], late);
}

#[tokio::test(start_paused = true)]
async fn memory_sink_that_is_full_refuses_creates_but_takes_ends() {
    let sink = MemorySink::with_capacity(4);
    let sandbox = Sandbox::new();
    let audit = AuditLayer::new(sink.clone());
    let client = clerk_actor_tokens::ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .on_settle(audit.on_settle())
        .observe_layer(audit)
        .call_layer(clerk_actor_tokens_policy::audit::AuditBarrierLayer::new())
        .build()
        .unwrap();
    drop(client.send(create()).await.unwrap());
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.code(), Some("audit_unavailable"));
    client.drain(60 * SECOND).await;
    assert_eq!(
        crate::words(&sink),
        ["begin", "sending", "returned", "settled revoked"]
    );
    assert_eq!(sink.dropped_follow_ups(), 0);
}

#[tokio::test]
async fn revoke_passes_without_a_record_if_the_spool_is_unavailable_too() {
    let path = std::env::temp_dir().join(format!("spool-unavailable-{}", std::process::id()));
    let sink = ScriptedSink::new();
    let audit = AuditLayer::with_spool(sink.clone(), Spool::open(&path).unwrap());
    let setup = Setup::with(audit, sink);
    let token = setup.claim().await.unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    setup.sink.set(Mode::Fails);
    setup.client.revoke(token).await.unwrap();
    assert_eq!(setup.sandbox.ledger().revoked().count(), 1);
    assert_eq!(setup.words(), ["begin", "sending", "returned"]);

    // The mark fails, too.
    setup.sink.set(Mode::Up);
    let token = setup.claim().await.unwrap();
    after(1, &setup.sink, Mode::Fails);
    setup.client.revoke(token).await.unwrap();
    assert_eq!(setup.sandbox.ledger().revoked().count(), 2);
    assert_eq!(setup.words()[6..], ["begin", "returned"]);
    std::fs::remove_dir(path).unwrap();
}
