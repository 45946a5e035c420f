//! Writes are measured under a bounded number of labels.
#![cfg(feature = "metrics")]

use clerk_actor_tokens_policy::{
    CallId,
    audit::{AuditLayer, AuditSink, FollowUp, MemorySink, Spool},
    describe_metrics,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::runtime::Builder;

use crate::{
    SECOND, Setup, create,
    support::scripted_sink::{Mode, ScriptedSink},
};

/// Returns the metrics of the audit since the last snapshot, with their labels and values.
fn measured(snapshotter: &Snapshotter) -> Vec<String> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let mut measured: Vec<_> = snapshot
        .filter_map(|(key, _, _, value)| {
            let key = key.key().clone();
            let name = key
                .name()
                .strip_prefix("clerk.actor_tokens.policy.audit_")?;
            let labels: Vec<_> = key.labels().map(|label| label.value()).collect();
            let value = match value {
                DebugValue::Counter(count) => count.to_string(),
                DebugValue::Gauge(value) => value.to_string(),
                DebugValue::Histogram(values) => format!("{} times", values.len()),
            };
            Some([&[name][..], &labels, &[&value]].concat().join(" "))
        })
        .collect();
    measured.sort();
    measured
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
            let measured = measured(&snapshotter);
            assert!(measured.contains(&"spool_depth 3".to_owned()));
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
    let measured = measured(&snapshotter);
    for expected in ["follow_ups_dropped 1", "unaudited 1", "up 0", "withheld 1"] {
        assert!(measured.iter().any(|it| it == expected), "{measured:?}");
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
    assert_eq!(
        measured(&snapshotter),
        [
            "follow_ups_dropped 0",
            "refused 4",
            "spool_depth 0",
            "unaudited 0",
            "up 1",
            "withheld 0",
            "write begin error 3 times",
            "write begin ok 1 times",
            "write end ok 1 times",
            "write replay ok 1 times",
            "write sending ok 1 times",
        ]
    );
}
