//! Calls of an instance that stopped without notice get an end, once.

use clerk_actor_tokens_policy::audit::{End, Entry};
use clerk_actor_tokens_postgres::PostgresStore;
use futures_util::future::join_all;

use crate::support::{Admin, Call, Server, until};

/// Drops a store as a process that is killed does, and makes its beat stale.
async fn kill(store: PostgresStore, admin: &Admin) -> String {
    let instance = store.instance();
    drop(store);
    let locked = "SELECT count(*) FROM pg_locks l JOIN instances i
        ON l.locktype = 'advisory' AND i.lock = (l.classid::bigint << 32) + l.objid::bigint
        WHERE i.instance = $1";
    until(async || admin.value::<i64>(locked, &[&instance]).await == 0).await;
    admin.age(&instance).await;
    instance
}

async fn ends(admin: &Admin) -> Vec<String> {
    let sql =
        r#"SELECT concat_ws(' ', "end", outcome, live_until - sending_at) FROM calls ORDER BY id"#;
    admin.column(sql, &[]).await
}

#[tokio::test]
async fn open_calls_of_a_stopped_instance_are_ended() {
    let server = Server::start();
    let [store, sweeper] = [server.connect().await, server.connect().await];
    let (admin, calls) = (server.admin().await, [(); 4].map(|()| Call::new()));
    let entries = [
        vec![calls[0].create()],
        vec![calls[1].create(), calls[1].sending()],
        vec![calls[2].revoke("act_1"), calls[2].sending()],
        vec![calls[3].create(), calls[3].end(End::Abandoned)],
    ];
    store.write(entries.concat()).await.unwrap();
    // Its beat is fresh.
    drop(store.clone());
    assert_eq!(sweeper.sweep().await.unwrap(), 0);
    let instance = kill(store, &admin).await;
    assert_eq!(sweeper.sweep().await.unwrap(), 1);
    // The call's timeout, a margin and the lifetime.
    let live = (30 + 60 + 3600) * 1000;
    let expected = [
        "interrupted not_sent".to_owned(),
        format!("interrupted unknown {live}"),
        "interrupted unknown".to_owned(),
        "abandoned not_sent".to_owned(),
    ];
    assert_eq!(ends(&admin).await, expected);
    let sql = "SELECT heir FROM instances WHERE instance = $1 AND ended_at IS NOT NULL";
    assert_eq!(admin.column(sql, &[&instance]).await, [sweeper.instance()]);
    assert_eq!(sweeper.sweep().await.unwrap(), 0);
}

#[tokio::test]
async fn instance_that_was_killed_after_it_inherited_leaves_all_to_the_next() {
    let server = Server::start();
    let [first, second, third] = [
        server.connect().await,
        server.connect().await,
        server.connect().await,
    ];
    let admin = server.admin().await;
    first.write(vec![Call::new().create()]).await.unwrap();
    let instance = kill(first, &admin).await;
    assert_eq!(second.sweep().await.unwrap(), 1);
    second.write(vec![Call::new().create()]).await.unwrap();
    let other = kill(second, &admin).await;
    assert_eq!(third.sweep().await.unwrap(), 1);
    let sql = "SELECT instance FROM instances WHERE heir = $1 ORDER BY started_at";
    assert_eq!(
        admin.column(sql, &[&third.instance()]).await,
        [instance, other]
    );
    assert_eq!(ends(&admin).await, ["interrupted not_sent"; 2]);
}

#[tokio::test]
async fn sweepers_at_once_end_each_call_once() {
    let server = Server::start();
    let admin = server.admin().await;
    let mut sweepers = Vec::new();
    for _ in 0..4 {
        sweepers.push(server.connect().await);
    }
    for _ in 0..6 {
        let store = server.connect().await;
        let begins: Vec<Entry> = (0..50).map(|_| Call::new().create()).collect();
        store.write(begins).await.unwrap();
        kill(store, &admin).await;
    }
    let swept = join_all(sweepers.iter().map(PostgresStore::sweep)).await;
    let swept: usize = swept.into_iter().map(Result::unwrap).sum();
    assert_eq!(swept, 6);
    let sql = "SELECT count(*) FILTER (WHERE event = 'end') * 1000 + count(*) FILTER (WHERE event = 'late') FROM records";
    assert_eq!(admin.value::<i64>(sql, &[]).await, 300_000);
}

#[tokio::test]
async fn many_open_calls_are_ended_in_parts() {
    let server = Server::start();
    let [store, sweeper] = [server.connect().await, server.connect().await];
    let admin = server.admin().await;
    let begins: Vec<Entry> = (0..600).map(|_| Call::new().create()).collect();
    store.write(begins).await.unwrap();
    kill(store, &admin).await;
    assert_eq!(sweeper.sweep().await.unwrap(), 1);
    let sql = "SELECT count(DISTINCT xmin::text) FROM records WHERE event = 'end'";
    assert_eq!(admin.value::<i64>(sql, &[]).await, 3);
    let open = "SELECT count(*) FROM calls WHERE ended_at IS NULL";
    assert_eq!(admin.value::<i64>(open, &[]).await, 0);
}

#[tokio::test]
async fn instance_that_stopped_with_calls_left_is_inherited_at_once() {
    let server = Server::start();
    let [store, sweeper] = [server.connect().await, server.connect().await];
    store.write(vec![Call::new().create()]).await.unwrap();
    // It is not complete, whatever the caller believes.
    store.stop(true).await.unwrap();
    until(async || sweeper.sweep().await.unwrap() == 1).await;
    assert_eq!(ends(&server.admin().await).await, ["interrupted not_sent"]);
}
