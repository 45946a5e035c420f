//! Records form the chain of their instance, once each.

use clerk_actor_tokens::{Actor, CreateActorToken, Outcome};
use clerk_actor_tokens_policy::audit::{Entry, FollowUp, Note};
use clerk_actor_tokens_store::{Link, PAUSED, RESUMED};

use crate::support::{Admin, Call, Server, effect, failed, returned};
use clerk_actor_tokens_policy::audit::End;

/// Returns the head of the chain that the texts of an instance give.
async fn chain(admin: &Admin, instance: &str) -> Link {
    let sql = "SELECT text FROM records WHERE instance = $1 ORDER BY seq";
    let texts = admin.column(sql, &[&instance]).await;
    let root = Link::root(instance);
    texts.iter().fold(root, |link, text| link.next(text))
}

async fn events(admin: &Admin, call: Call) -> Vec<String> {
    let sql = "SELECT event FROM records WHERE call = $1 ORDER BY id";
    admin.column(sql, &[&call.0.to_string()]).await
}

#[tokio::test]
async fn hashes_of_the_server_are_those_of_link() {
    let server = Server::start();
    let (store, admin) = (server.connect().await, server.admin().await);
    let odd = CreateActorToken::new("user_é\u{1f600}\"\\\n", Actor::new("user_admin"));
    let entries = [
        &Call::new().returned("act_1")[..],
        &[
            Call::new().begin(&odd.into()),
            Entry::note(Note::new("started")),
        ],
    ];
    store.write(entries.concat()).await.unwrap();
    store
        .write(Call::new().revoked("act_1").into())
        .await
        .unwrap();
    let anchor = store.anchor().await.unwrap();
    let head = Link {
        seq: anchor.seq,
        hash: anchor.hash,
    };
    assert_eq!((anchor.instance, head.seq), (store.instance(), 8));
    assert_eq!(chain(&admin, &store.instance()).await, head);
    let sql = "SELECT hash FROM instances WHERE instance = $1";
    let hash: Vec<u8> = admin.value(sql, &[&store.instance()]).await;
    assert_eq!(hash, head.hash);
}

#[tokio::test]
async fn entries_that_are_written_again_are_recorded_once() {
    let server = Server::start();
    let [one, other] = [server.connect().await, server.connect().await];
    let (admin, call) = (server.admin().await, Call::new());
    let mut entries = call.returned("act_1").to_vec();
    entries.push(call.follow_up(FollowUp::Accepted));
    for entry in &mut entries {
        entry.late = true;
    }
    one.write(entries.clone()).await.unwrap();
    one.write(entries[1..3].into()).await.unwrap();
    // Another instance finds them too.
    other.write(entries).await.unwrap();
    let twice = call.follow_up(FollowUp::SessionEnded);
    one.write(vec![twice.clone(), twice]).await.unwrap();
    let expected = ["begin", "sending", "end", "follow_up", "follow_up"];
    assert_eq!(events(&admin, call).await, expected);
}

#[tokio::test]
async fn batch_that_is_written_again_is_left_out() {
    let server = Server::start();
    let (store, admin, call) = (server.connect().await, server.admin().await, Call::new());
    let entries = call.returned("act_1");
    for _ in 0..2 {
        store.write(entries.clone().into()).await.unwrap();
    }
    assert_eq!(events(&admin, call).await, ["begin", "sending", "end"]);
}

#[tokio::test]
async fn second_end_is_late_whichever_instance_wrote_the_first() {
    let server = Server::start();
    let [one, other] = [server.connect().await, server.connect().await];
    let (admin, call) = (server.admin().await, Call::new());
    one.write(vec![call.create(), call.sending()])
        .await
        .unwrap();
    let first = call.end(End::Interrupted(effect(Outcome::Unknown)));
    other.write(vec![first]).await.unwrap();
    one.write(vec![call.end(returned("act_1"))]).await.unwrap();
    other
        .write(vec![call.end(failed("timeout", Outcome::NotSent))])
        .await
        .unwrap();
    assert_eq!(
        events(&admin, call).await,
        ["begin", "sending", "end", "late", "late"]
    );
    let row = admin
        .column(
            r#"SELECT concat_ws(' ', "end", actor_token_id) FROM calls"#,
            &[],
        )
        .await;
    assert_eq!(row, ["interrupted act_1"]);
}

#[tokio::test]
async fn ends_that_race_are_one_end_and_late_ones() {
    let server = Server::start();
    let stores = [
        server.connect().await,
        server.connect().await,
        server.connect().await,
    ];
    let (admin, calls) = (server.admin().await, [(); 20].map(|()| Call::new()));
    let begins = calls.map(Call::create);
    stores[0].write(begins.into()).await.unwrap();
    let writes = stores.iter().enumerate().map(|(number, store)| {
        let token = format!("act_{number}");
        let ends = calls.map(|call| call.end(returned(&token)));
        store.write(ends.into())
    });
    for result in futures_util::future::join_all(writes).await {
        result.unwrap();
    }
    for call in calls {
        assert_eq!(events(&admin, call).await, ["begin", "end", "late", "late"]);
    }
}

#[tokio::test]
async fn text_that_postgres_cannot_store_or_index_is_recorded() {
    let server = Server::start();
    let (store, admin, call) = (server.connect().await, server.admin().await, Call::new());
    let (actor, subject) = ("a\0b".repeat(5_000), "s".repeat(10_000));
    let odd = CreateActorToken::new(subject.clone(), Actor::new(actor)).into();
    let begin = call.begin(&odd);
    store.write(vec![begin.clone()]).await.unwrap();
    let texts = admin.column("SELECT text FROM records", &[]).await;
    assert_eq!(
        serde_json::from_str::<Entry>(&texts[0]).unwrap().call,
        call.0
    );
    assert_eq!(
        admin.column("SELECT subject FROM calls", &[]).await,
        [subject]
    );
    let actor = admin.column("SELECT left(actor, 3) FROM calls", &[]).await;
    assert_eq!(actor, ["a\u{fffd}b"]);
}

#[tokio::test]
async fn newest_note_of_a_setting_counts() {
    let server = Server::start();
    let [one, other] = [server.connect().await, server.connect().await];
    let admin = server.admin().await;
    let paused = "SELECT count(since) FROM settings WHERE name = 'paused'";
    one.write(vec![Entry::note(Note::new(PAUSED))])
        .await
        .unwrap();
    assert_eq!(admin.value::<i64>(paused, &[]).await, 1);
    other
        .write(vec![Entry::note(Note::new(RESUMED))])
        .await
        .unwrap();
    assert_eq!(admin.value::<i64>(paused, &[]).await, 0);
}
