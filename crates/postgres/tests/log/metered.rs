//! Appends, beats, sweeps and reconnects are measured. The writer's thread is measured by the recorder of the process,
//! so that this is the only test of the metrics.

use clerk_actor_tokens_postgres::describe_metrics;
use metrics_util::debugging::DebuggingRecorder;

use crate::{
    measured::measured,
    support::{Call, Server},
};

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

    let all = measured(&snapshotter, "clerk.actor_tokens.postgres.");
    // Other tests of the process count too.
    for histogram in ["append result=ok", "batch", "beat result=ok"] {
        assert!(!all[histogram].is_empty(), "{histogram}");
    }
    for (counter, least) in [
        ("inherited", 1.0),
        ("reconnected", 1.0),
        ("swept_calls", 2.0),
    ] {
        assert!(all[counter][0] >= least, "{counter}");
    }
}
