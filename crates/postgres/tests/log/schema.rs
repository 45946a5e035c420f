//! The tables are created once, whichever process comes first.

use clerk_actor_tokens_postgres::PostgresError;
use futures_util::future::join_all;

use crate::support::{Call, Server};

#[tokio::test]
async fn processes_that_start_at_once_create_the_tables_once() {
    let server = Server::start();
    let stores = join_all((0..8).map(|_| server.config().connect())).await;
    for store in stores {
        store
            .unwrap()
            .write(vec![Call::new().create()])
            .await
            .unwrap();
    }
    let admin = server.admin().await;
    let sql = "SELECT count(DISTINCT instance) * 10 + (SELECT count(*) FROM version) FROM records";
    assert_eq!(admin.value::<i64>(sql, &[]).await, 81);
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let server = Server::start();
    drop(server.connect().await);
    let admin = server.admin().await;
    admin
        .0
        .batch_execute("UPDATE version SET version = 99")
        .await
        .unwrap();
    let error = server.config().connect().await.unwrap_err();
    assert!(
        matches!(error, PostgresError::Version { version: 99 }),
        "{error}"
    );
}

#[tokio::test]
async fn schema_of_any_name_is_used() {
    let server = Server::start();
    let name = "Other \"schema\"; --";
    let store = server.config().schema(name).connect().await.unwrap();
    store.write(vec![Call::new().create()]).await.unwrap();
    let sql = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'records'";
    assert_eq!(server.admin().await.column(sql, &[]).await, [name]);
}
