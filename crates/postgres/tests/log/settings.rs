//! Settings reach every process.

use std::time::Duration;

use clerk_actor_tokens_policy::audit::{Entry, Note};
use clerk_actor_tokens_postgres::PostgresStore;
use clerk_actor_tokens_store::{PAUSED, POLICY_LOADED, RESUMED, Settings};
use tokio::{sync::watch, time::Instant};

use crate::support::{Server, soon};

async fn note(store: &PostgresStore, note: Note) {
    store.write(vec![Entry::note(note)]).await.unwrap();
}

async fn wait(
    settings: &mut watch::Receiver<Option<Settings>>,
    is_true: impl FnMut(&Option<Settings>) -> bool,
) {
    soon(settings.wait_for(is_true)).await.unwrap();
}

fn is_paused(settings: &Option<Settings>) -> bool {
    settings
        .as_ref()
        .is_some_and(|settings| settings.paused.is_some())
}

#[tokio::test]
async fn change_of_a_setting_is_noticed_by_other_processes() {
    let server = Server::start();
    let [store, other] = [server.connect().await, server.connect().await];
    let mut settings = other.watch_settings();
    wait(&mut settings, Option::is_some).await;
    note(&store, Note::new(PAUSED).detail("too many")).await;
    wait(&mut settings, is_paused).await;
    let reason = settings.borrow().clone().unwrap().paused.unwrap().reason;
    assert_eq!(reason.as_deref(), Some("too many"));
    note(&store, Note::new(POLICY_LOADED).detail("v2")).await;
    let has_policy = |it: &Option<Settings>| it.as_ref().unwrap().policy.as_deref() == Some("v2");
    wait(&mut settings, has_policy).await;
    note(&store, Note::new(RESUMED)).await;
    wait(&mut settings, |it| !is_paused(it)).await;
}

#[tokio::test]
async fn change_without_a_notification_is_noticed_by_the_next_read() {
    let server = Server::start();
    let (store, admin) = (server.connect().await, server.admin().await);
    let mut settings = store.watch_settings();
    wait(&mut settings, Option::is_some).await;
    let sql = "INSERT INTO settings (name, id, since) VALUES ('paused', 1, 1)";
    admin.0.batch_execute(sql).await.unwrap();
    wait(&mut settings, is_paused).await;
}

#[tokio::test]
async fn settings_are_read_again_after_a_lost_connection() {
    let server = Server::start();
    let (store, admin) = (server.connect().await, server.admin().await);
    let mut settings = store.watch_settings();
    wait(&mut settings, Option::is_some).await;
    let sql = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    admin.0.batch_execute(sql).await.unwrap();
    note(&store, Note::new(PAUSED)).await;
    wait(&mut settings, is_paused).await;
}

#[tokio::test]
async fn settings_are_unknown_30_s_after_the_last_read() {
    let mut server = Server::start_with(&[]);
    let store = server.connect().await;
    let mut settings = store.watch_settings();
    wait(&mut settings, Option::is_some).await;
    server.kill();
    tokio::time::pause();
    let killed = Instant::now();
    wait_for_none(&mut settings).await;
    let age = killed.elapsed();
    assert!(
        age > Duration::from_secs(20) && age <= Duration::from_secs(30),
        "{age:?}"
    );
    tokio::time::resume();
    server.restart();
    wait(&mut settings, Option::is_some).await;
}

async fn wait_for_none(settings: &mut watch::Receiver<Option<Settings>>) {
    settings.wait_for(Option::is_none).await.unwrap();
}
