//! Writes are measured under a bounded number of labels.
#![cfg(feature = "metrics")]

use clerk_actor_tokens_policy::describe_metrics;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::runtime::Builder;

use crate::{SECOND, Setup, create, support::scripted_sink::Mode};

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
    let mut measured: Vec<_> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
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
    assert_eq!(
        measured,
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
