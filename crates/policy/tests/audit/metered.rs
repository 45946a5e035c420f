//! Writes are measured under a bounded number of labels.
#![cfg(feature = "metrics")]

use clerk_actor_tokens_policy::{
    CallId,
    audit::{AuditLayer, AuditSink, FollowUp, MemorySink, Spool},
    describe_metrics,
};
use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use tokio::runtime::Builder;

use crate::{
    SECOND, Setup, create,
    measured::{Measured, measured},
    support::scripted_sink::{Mode, ScriptedSink},
};

/// Returns the metrics of the audit since the last snapshot.
fn audited(snapshotter: &Snapshotter) -> Measured {
    measured(snapshotter, "clerk.actor_tokens.policy.audit_")
}

/// Runs a future with this recorder.
fn recorded(recorder: &DebuggingRecorder, future: impl Future) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(recorder, || {
        describe_metrics();
        runtime.block_on(future);
    });
}

#[test]
fn spool_depth_is_the_number_of_entries_that_wait() {
    let path = std::env::temp_dir().join(format!("spool-depth-{}", std::process::id()));
    for spool in [Spool::in_memory(), Spool::open(&path).unwrap()] {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        recorded(&recorder, async {
            let sink = ScriptedSink::new();
            let audit = AuditLayer::with_spool(sink.clone(), spool.clone());
            let setup = Setup::with(audit, sink);
            setup.sink.set(Mode::Fails);
            setup.client.revoke("act_1").await.unwrap_err();
            assert_eq!(audited(&snapshotter)["spool_depth"], [3.0]);
            assert_eq!(spool.depth(), 3);
            setup.sink.set(Mode::Up);
            setup.audit.replay().await.unwrap();
            assert_eq!(spool.depth(), 0);
        });
    }
    std::fs::write(&path, "half of an entry").unwrap();
    assert_eq!(Spool::open(&path).unwrap().depth(), 1);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_the_audit_lacks_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let path = std::env::temp_dir().join(format!("spool-lacks-{}", std::process::id()));
    recorded(&recorder, async {
        let full = MemorySink::with_capacity(0);
        full.follow_up(CallId::create(), FollowUp::Accepted);

        let setup = Setup::new();
        for mode in [Mode::Up, Mode::Up, Mode::Fails] {
            setup.sink.once(mode);
        }
        setup.client.send(create()).await.unwrap_err();

        let sink = ScriptedSink::new();
        let audit = AuditLayer::with_spool(sink.clone(), Spool::open(&path).unwrap());
        let setup = Setup::with(audit, sink);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        setup.sink.set(Mode::Fails);
        setup.client.revoke("act_1").await.unwrap_err();
        for _ in 0..2 {
            setup.client.send(create()).await.unwrap_err();
        }
    });
    std::fs::remove_dir(path).unwrap();
    let all = audited(&snapshotter);
    for (expected, value) in [
        ("follow_ups_dropped", 1.0),
        ("unaudited", 1.0),
        ("up", 0.0),
        ("withheld", 1.0),
    ] {
        assert_eq!(all[expected], [value], "{all:?}");
    }
}

#[test]
fn writes_refusals_and_the_spool_are_measured() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        describe_metrics();
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let setup = Setup::new();
            let token = setup.claim().await.unwrap();
            setup.sink.set(Mode::Fails);
            for _ in 0..4 {
                setup.client.send(create()).await.unwrap_err();
            }
            setup.client.revoke(token).await.unwrap();
            setup.sink.set(Mode::Up);
            tokio::time::sleep(2 * SECOND).await;
        });
    });
    let mut all = audited(&snapshotter);
    let writes = all.split_off("write");
    let all: Vec<_> = all.iter().map(|(k, v)| (&**k, v[0])).collect();
    assert_eq!(
        all,
        [
            ("follow_ups_dropped", 0.0),
            ("refused", 4.0),
            ("spool_depth", 0.0),
            ("unaudited", 0.0),
            ("up", 1.0),
            ("withheld", 0.0),
        ]
    );
    let writes: Vec<_> = writes.iter().map(|(k, v)| (&**k, v.len())).collect();
    assert_eq!(
        writes,
        [
            ("write result=error step=begin", 3),
            ("write result=ok step=begin", 1),
            ("write result=ok step=end", 1),
            ("write result=ok step=replay", 1),
            ("write result=ok step=sending", 1),
        ]
    );
}
