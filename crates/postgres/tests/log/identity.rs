//! An instance lives as long as the connection that writes. A new connection is a new instance.

use clerk_actor_tokens_policy::{
    AuditSink, CallId,
    audit::{AuditRecord, Begin, End},
};

use crate::support::{Admin, Call, Server, create, returned, soon, until};

async fn heir(admin: &Admin, instance: &str) -> Option<String> {
    let sql = "SELECT heir FROM instances WHERE instance = $1";
    admin.value(sql, &[&instance]).await
}

#[tokio::test]
async fn lost_connection_is_replaced_by_a_new_instance_that_inherits_the_old_one() {
    let server = Server::start();
    let (store, admin) = (server.connect().await, server.admin().await);
    let (call, first) = (Call::new(), store.instance());
    store
        .write(vec![call.create(), call.sending()])
        .await
        .unwrap();
    admin.cut(&first).await;
    // The same entry again, as after a response that was lost, and the next one.
    store
        .write(vec![call.sending(), call.end(returned("act_1"))])
        .await
        .unwrap();
    let second = store.instance();
    assert_ne!(first, second);
    assert_eq!(heir(&admin, &first).await, Some(second.clone()));
    let sql = "SELECT instance FROM records WHERE event = 'end'";
    assert_eq!(admin.column(sql, &[]).await, [&*second]);

    admin.cut(&second).await;
    store.write(vec![Call::new().create()]).await.unwrap();
    // Both are inherited by the third one.
    for earlier in [first, second] {
        assert_eq!(heir(&admin, &earlier).await, Some(store.instance()));
    }
}

#[tokio::test]
async fn instance_keeps_its_identity_while_its_connection_lives() {
    let server = Server::start();
    let [store, sweeper] = [server.connect().await, server.connect().await];
    let (admin, call, instance) = (server.admin().await, Call::new(), store.instance());
    store.write(vec![call.create()]).await.unwrap();
    admin.age(&instance).await;
    assert_eq!(sweeper.sweep().await.unwrap(), 0);
    store.write(vec![call.end(End::Abandoned)]).await.unwrap();
    assert_eq!(
        (store.instance(), heir(&admin, &instance).await),
        (instance, None)
    );
}

#[tokio::test]
async fn call_of_an_instance_that_was_swept_does_not_go_on() {
    let server = Server::start();
    let [store, sweeper] = [server.connect().await, server.connect().await];
    let (admin, first) = (server.admin().await, store.instance());
    let [begun, sent] = [Call::new(), Call::new()];
    store
        .write(vec![begun.create(), sent.create(), sent.sending()])
        .await
        .unwrap();
    admin.cut(&first).await;
    admin.age(&first).await;
    assert_eq!(sweeper.sweep().await.unwrap(), 1);
    // The sweep has recorded that nothing was sent.
    assert!(store.write(vec![begun.sending()]).await.is_err());
    assert!(store.write(vec![begun.create()]).await.is_err());
    store
        .write(vec![sent.end(returned("act_1"))])
        .await
        .unwrap();
    assert_eq!(heir(&admin, &first).await, Some(sweeper.instance()));
    let sql = "SELECT event || ' ' || instance FROM records WHERE call = $1 ORDER BY id";
    let records = admin.column(sql, &[&sent.0.to_string()]).await;
    let expected = [
        format!("begin {first}"),
        format!("sending {first}"),
        format!("end {}", sweeper.instance()),
        format!("late {}", store.instance()),
    ];
    assert_eq!(records, expected);
}

#[tokio::test]
async fn server_that_restarts_is_used_again() {
    let mut server = Server::start_with(&[]);
    let (store, call) = (server.connect().await, Call::new());
    store.write(vec![call.create()]).await.unwrap();
    let first = store.instance();
    server.kill();
    assert!(store.write(vec![Call::new().create()]).await.is_err());
    assert!(!soon(store.is_available()).await);
    server.restart();
    until(async || store.is_available().await).await;
    store.write(vec![call.end(End::Abandoned)]).await.unwrap();
    let admin = server.admin().await;
    assert_eq!(heir(&admin, &first).await, Some(store.instance()));
    let open = "SELECT count(*) FROM calls WHERE ended_at IS NULL";
    assert_eq!(admin.value::<i64>(open, &[]).await, 0);
}

#[tokio::test]
async fn end_that_could_not_be_written_is_written_by_the_next_instance() {
    let mut server = Server::start_with(&[]);
    let store = server.connect().await;
    let first = store.instance();
    let (writer, call) = (store.writer(), CallId::create());
    let record = writer.begin(call, Begin::of(&create())).await.unwrap();
    server.kill();
    assert!(record.end(returned("act_1")).await.is_err());
    server.restart();
    until(async || store.is_available().await).await;
    soon(writer.flush()).await.unwrap();
    let sql = "SELECT instance FROM records WHERE call = $1 ORDER BY id";
    let instances = server.admin().await.column(sql, &[&call.to_string()]).await;
    assert_eq!(instances, [first, store.instance()]);
}

#[tokio::test]
async fn stopped_instance_writes_nothing_more() {
    let server = Server::start();
    let (store, admin) = (server.connect().await, server.admin().await);
    store.stop(true).await.unwrap();
    assert!(store.write(vec![Call::new().create()]).await.is_err());
    let open = "SELECT count(*) FROM instances WHERE ended_at IS NULL";
    assert_eq!(admin.value::<i64>(open, &[]).await, 0);
}
