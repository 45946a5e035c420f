//! Beats, sweeps and anchors happen in their intervals.

use std::time::Duration;

use clerk_actor_tokens_postgres::PostgresStore;
use clerk_actor_tokens_store::Anchor;
use tokio::task::JoinHandle;

use crate::support::{Call, Server, until};

const OFTEN: Duration = Duration::from_millis(50);

async fn maintained(server: &Server) -> (PostgresStore, JoinHandle<()>) {
    let config = server.config().beat(OFTEN, 20 * OFTEN).anchor_every(OFTEN);
    let store = config.connect().await.unwrap();
    let maintained = store.clone();
    let task = tokio::spawn(async move { maintained.maintain().await });
    (store, task)
}

#[tokio::test]
async fn instance_beats_until_it_stops_and_is_then_swept() {
    let server = Server::start();
    let (store, task) = maintained(&server).await;
    let (sweeper, _sweeping) = maintained(&server).await;
    let (admin, instance) = (server.admin().await, store.instance());
    store.write(vec![Call::new().create()]).await.unwrap();
    let beats =
        "SELECT beat_at > started_at + interval '1 second' FROM instances WHERE instance = $1";
    until(async || admin.value(beats, &[&instance]).await).await;
    task.abort();
    // The task holds a clone of the store.
    let _ = task.await;
    drop(store);
    let heir = "SELECT heir FROM instances WHERE instance = $1";
    until(async || {
        admin
            .value::<Option<String>>(heir, &[&instance])
            .await
            .is_some()
    })
    .await;
    let heir: String = admin.value(heir, &[&instance]).await;
    assert_eq!(heir, sweeper.instance());
}

#[tokio::test]
async fn last_records_of_an_instance_are_anchored_by_its_heir() {
    let server = Server::start();
    let (store, _task) = maintained(&server).await;
    let (admin, instance) = (server.admin().await, store.instance());
    store
        .write(Call::new().returned("act_1").into())
        .await
        .unwrap();
    let newest = || {
        let anchors = Anchor::read(&server.anchors(), &instance).unwrap_or_default();
        anchors.last().map(|anchor| anchor.seq)
    };
    until(async || newest() == Some(3)).await;
    store
        .write(Call::new().returned("act_2").into())
        .await
        .unwrap();
    admin.cut(&instance).await;
    until(async || newest() == Some(6)).await;
}
