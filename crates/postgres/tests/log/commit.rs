//! Entries share commits, and a caller that leaves has no part in a transaction.

use std::{fs, time::Duration};

use clerk_actor_tokens_policy::{
    AuditSink, CallId,
    audit::{AuditRecord, Begin, End},
};
use futures_util::future::join_all;

use crate::{
    proxy::Proxy,
    support::{Call, Server, create, returned, soon, until},
};

#[tokio::test]
async fn concurrent_begins_share_commits() {
    let server = Server::start();
    let (store, admin) = (server.connect().await, server.admin().await);
    let writer = store.writer();
    let begins = (0..64).map(|_| writer.begin(CallId::create(), Begin::of(&create())));
    let records: Vec<_> = join_all(begins).await;
    assert!(records.iter().all(Result::is_ok));
    let sql = "SELECT count(DISTINCT xmin::text) FROM records WHERE event = 'begin'";
    let transactions: i64 = admin.value(sql, &[]).await;
    // The first one may be alone, and the thread may look at the queue while it fills.
    assert!(transactions < 16, "{transactions} transactions");
    let ends = records
        .into_iter()
        .map(|record| record.unwrap().end(End::Abandoned));
    join_all(ends).await;
}

#[tokio::test]
async fn create_takes_one_statement_for_each_of_its_entries() {
    let server = Server::start_with(&["log_statement=all"]);
    let store = server.connect().await;
    let log = || fs::read_to_string(server.log()).unwrap();
    let before = log().len();
    let writer = store.writer();
    let begin = writer.begin(CallId::create(), Begin::of(&create()));
    let mut record = begin.await.unwrap();
    record.sending().await.unwrap();
    record.end(returned("act_1")).await.unwrap();
    let log = log()[before..].to_owned();
    let statements: Vec<_> = log.lines().filter(|line| line.contains("LOG:")).collect();
    assert_eq!(statements.len(), 3, "{log}");
    assert!(
        statements
            .iter()
            .all(|it| it.contains("SELECT seq, hash FROM append")),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_that_is_dropped_leaves_no_transaction_open() {
    let server = Server::start();
    let (store, admin) = (server.connect().await, server.admin().await);
    let tasks: Vec<_> = (0..300_u64)
        .map(|number| {
            let writer = store.writer();
            tokio::spawn(async move {
                let begin = writer.begin(CallId::create(), Begin::of(&create()));
                // Some are dropped before, some while, and some after the entry is written.
                let limit = Duration::from_micros(number * 37 % 5_000);
                let _ = tokio::time::timeout(limit, begin).await;
            })
        })
        .collect();
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    for task in tasks {
        task.await.unwrap();
        assert_eq!(admin.value::<i64>(open, &[]).await, 0);
    }
    // Each call that has begun has an end.
    soon(store.writer().flush()).await.unwrap();
    until(async || {
        let sql = "SELECT count(*) FROM calls WHERE ended_at IS NULL";
        admin.value::<i64>(sql, &[]).await == 0
    })
    .await;
}

#[tokio::test]
async fn batch_is_written_whole_or_not_at_all() {
    let server = Server::start();
    let (store, admin) = (server.connect().await, server.admin().await);
    let (ended, other) = (Call::new(), Call::new());
    store
        .write(vec![ended.create(), ended.end(End::Abandoned)])
        .await
        .unwrap();
    // A call that has ended does not go on.
    let batch = vec![other.create(), ended.sending()];
    assert!(store.write(batch).await.is_err());
    assert_eq!(
        admin
            .value::<i64>("SELECT count(*) FROM records", &[])
            .await,
        2
    );
    store.write(vec![other.create()]).await.unwrap();
}

#[tokio::test]
async fn begin_that_is_durable_though_its_response_was_lost_has_an_end() {
    let server = Server::start();
    let proxy = Proxy::swallowing(&server);
    let store = server
        .config_at(&proxy.url(&server))
        .connect()
        .await
        .unwrap();
    let (writer, admin) = (store.writer(), server.admin().await);
    proxy.swallow(true);
    let begin = writer.begin(CallId::create(), Begin::of(&create()));
    assert!(begin.await.is_err());
    let ends = r#"SELECT coalesce("end", 'open') FROM calls"#;
    assert_eq!(admin.column(ends, &[]).await, ["open"]);
    proxy.swallow(false);
    until(async || store.is_available().await).await;
    assert_eq!(admin.column(ends, &[]).await, ["abandoned"]);
}
