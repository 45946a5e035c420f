//! Appends, beats, sweeps and reconnects are measured. The writer's thread is measured by the recorder of the process,
//! so that this is the only test of the metrics.

use std::collections::BTreeMap;

use clerk_actor_tokens_postgres::describe_metrics;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::support::{Call, Server};

#[tokio::test]
async fn appends_beats_sweeps_and_reconnects_are_measured() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    describe_metrics();
    let server = Server::start();
    let [store, sweeper] = [server.connect().await, server.connect().await];
    let admin = server.admin().await;
    store
        .write(vec![Call::new().create(), Call::new().create()])
        .await
        .unwrap();
    assert!(store.is_available().await);
    let first = store.instance();
    admin.cut(&first).await;
    admin.age(&first).await;
    assert_eq!(sweeper.sweep().await.unwrap(), 1);
    store.write(vec![Call::new().create()]).await.unwrap();

    let mut measured = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let name = key
            .key()
            .name()
            .strip_prefix("clerk.actor_tokens.postgres.");
        let Some(name) = name else { continue };
        let labels = key
            .key()
            .labels()
            .map(|it| format!(" {}={}", it.key(), it.value()));
        measured.insert(format!("{name}{}", labels.collect::<String>()), value);
    }
    // Other tests of the process count too.
    for expected in ["append result=ok", "batch", "beat result=ok"] {
        let value = measured.get(expected);
        assert!(
            matches!(value, Some(DebugValue::Histogram(all)) if !all.is_empty()),
            "{expected}"
        );
    }
    for (expected, least) in [("inherited", 1), ("reconnected", 1), ("swept_calls", 2)] {
        let value = measured.get(expected);
        assert!(
            matches!(value, Some(DebugValue::Counter(count)) if *count >= least),
            "{expected}"
        );
    }
}
