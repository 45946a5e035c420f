//! A store outlives a restart of the server.

use clerk_actor_tokens_postgres::PostgresError;
use clerk_actor_tokens_store::CallFilter;

use crate::support::{Call, Server, until};

#[tokio::test]
async fn reads_go_on_after_a_restart_of_the_server() {
    let mut server = Server::start_with(&[]);
    let store = server.connect().await;
    let entries = Call::new().returned("act_1");
    let call = entries[0].call;
    store.write(entries.into()).await.unwrap();
    let found = async || {
        let page = store.calls(CallFilter::default()).await?;
        Ok::<_, PostgresError>(page.items.iter().map(|row| row.call).collect::<Vec<_>>())
    };
    assert_eq!(found().await.unwrap(), [call]);
    server.restart();
    until(async || found().await.is_ok()).await;
    assert_eq!(found().await.unwrap(), [call]);
}
