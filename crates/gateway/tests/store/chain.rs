//! A record that was altered, removed or moved is found and named.

use clerk_actor_tokens_gateway::store::{
    Anchor, PAUSED, Store, StoreError, StoreOptions, Tampered, VerifyError, verify,
};
use clerk_actor_tokens_policy::audit::{FollowUp, Note};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::{Call, Setup, tampered};

/// A store with two calls and a note: seven records.
async fn setup() -> Setup {
    let setup = Setup::new();
    setup.write(Call::new().returned("act_1")).await;
    setup.write(Call::new().revoked("act_1")).await;
    setup.store.note(Note::new(PAUSED)).await.unwrap();
    let verified = verify(&setup.path(), None).unwrap();
    assert_eq!(
        (verified.records, verified.last, verified.pruned),
        (7, 7, 0)
    );
    setup
}

/// Computes all hashes again, as a person would who knows the format.
fn rewrite(connection: &Connection) {
    let hash = |sql: &str, seq: u64| -> Vec<u8> {
        connection.query_row(sql, [seq], |row| row.get(0)).unwrap()
    };
    let mut last = hash("SELECT hash FROM chain WHERE seq <= ?", 7);
    for seq in 1..=7_u64 {
        let sql = "SELECT text FROM records WHERE seq = ?";
        let text: Option<String> = connection.query_row(sql, [seq], |row| row.get(0)).ok();
        let Some(text) = text else { continue };
        let next = Sha256::new()
            .chain_update(&last)
            .chain_update(seq.to_be_bytes());
        last = next.chain_update(text).finalize().to_vec();
        let sql = "UPDATE records SET hash = ? WHERE seq = ?";
        connection.execute(sql, (&last, seq)).unwrap();
    }
}

/// Returns the record that `verify` names after a change by hand, whether it names the call of the first three
/// records, and what is wrong.
async fn named(change: &str) -> (u64, bool, String) {
    let setup = setup().await;
    let connection = setup.by_hand();
    let sql = "SELECT call FROM records WHERE seq = 1";
    let first: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    connection.execute_batch(change).unwrap();
    let error = tampered(verify(&setup.path(), None));
    let shown = error.to_string();
    let (seq, call, what) = match error {
        Tampered::Record {
            seq, call, what, ..
        } => (seq, call, what),
        Tampered::Removed { seq, .. } => (seq, String::new(), "it was removed"),
        error => panic!("{error:?}"),
    };
    assert!(
        shown.contains(&format!("record {seq}")) && shown.contains(&call),
        "{shown}"
    );
    (seq, call == first, what.to_owned())
}

#[tokio::test]
async fn altered_text_is_found() {
    let (seq, is_first, what) =
        named("UPDATE records SET text = replace(text, 'act_1', 'act_2') WHERE seq = 3").await;
    assert_eq!((seq, is_first), (3, true));
    assert!(what.contains("altered"), "{what}");
}

#[tokio::test]
async fn altered_column_is_found() {
    for column in [
        "call = '00000000000000000000000000000000'",
        "at = at + 1",
        "event = 'late'",
        "event = 'follow_up'",
        "at = 'text'",
    ] {
        let (seq, is_first, what) =
            named(&format!("UPDATE records SET {column} WHERE seq = 3")).await;
        assert_eq!(
            (seq, is_first, &*what),
            (3, true, "a column differs from its text"),
            "{column}"
        );
    }
    let (seq, ..) = named("UPDATE records SET hash = zeroblob(32) WHERE seq = 3").await;
    assert_eq!(seq, 3);
}

#[tokio::test]
async fn removed_record_is_found() {
    assert_eq!(named("DELETE FROM records WHERE seq = 3").await.0, 3);
    assert_eq!(named("DELETE FROM records WHERE seq = 1").await.0, 1);
    let renumbered = "DELETE FROM records WHERE seq = 3;
        UPDATE records SET seq = seq - 1 WHERE seq > 3;";
    assert_eq!(named(renumbered).await.0, 3);
}

#[tokio::test]
async fn reordered_records_are_found() {
    let swapped = "UPDATE records SET seq = -1 WHERE seq = 3;
        UPDATE records SET seq = 3 WHERE seq = 4; UPDATE records SET seq = 4 WHERE seq = -1;";
    assert_eq!(named(swapped).await.0, 3);
}

#[tokio::test]
async fn inserted_record_is_found() {
    let inserted =
        "INSERT INTO records SELECT 8, call, at, event, text, hash FROM records WHERE seq = 7";
    assert_eq!(named(inserted).await.0, 8);
}

#[tokio::test]
async fn altered_instance_is_found() {
    let setup = setup().await;
    let alter = "UPDATE chain SET instance = 'other'";
    setup.by_hand().execute_batch(alter).unwrap();
    let error = tampered(verify(&setup.path(), None));
    assert!(matches!(error, Tampered::Instance { .. }), "{error}");
}

#[tokio::test]
async fn altered_row_of_a_derived_table_is_found() {
    for change in [
        "UPDATE calls SET reason = 'none'",
        "DELETE FROM leases",
        "UPDATE leases SET state = 'returned'",
        "DELETE FROM settings",
    ] {
        let setup = setup().await;
        setup.by_hand().execute_batch(change).unwrap();
        let error = tampered(verify(&setup.path(), None));
        assert!(
            matches!(error, Tampered::Derived { .. }),
            "{change}: {error}"
        );
        setup.store.rebuild().await.unwrap();
        verify(&setup.path(), None).unwrap();
    }
}

#[tokio::test]
async fn removed_tail_is_found_with_an_anchor() {
    let setup = setup().await;
    let anchor = setup.store.anchor().await.unwrap();
    let verified = verify(&setup.path(), Some(&setup.anchors())).unwrap();
    assert_eq!((anchor.seq, verified.anchored), (7, Some(7)));
    let connection = setup.by_hand();
    let remove = "DELETE FROM records WHERE seq > 5; DELETE FROM settings;";
    connection.execute_batch(remove).unwrap();
    setup
        .store
        .rebuild()
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    verify(&setup.path(), None).unwrap();
    let error = tampered(verify(&setup.path(), Some(&setup.anchors())));
    assert!(matches!(error, Tampered::Anchor { seq: 7, .. }), "{error}");
    assert!(
        error.to_string().contains("newest records were removed"),
        "{error}"
    );
}

#[tokio::test]
async fn second_row_of_the_chain_does_not_stand_for_removed_records() {
    let setup = setup().await;
    setup.store.anchor().await.unwrap();
    let remove = "INSERT INTO chain (instance, seq, hash)
            SELECT instance, records.seq, records.hash FROM chain, records WHERE records.seq = 7;
        DELETE FROM records WHERE seq > 5;";
    setup.by_hand().execute_batch(remove).unwrap();
    setup.store.rebuild().await.unwrap();
    let error = tampered(verify(&setup.path(), Some(&setup.anchors())));
    assert!(matches!(error, Tampered::Instance { .. }), "{error}");
}

#[tokio::test]
async fn chain_that_was_written_again_is_found_with_an_anchor() {
    let setup = setup().await;
    setup.store.anchor().await.unwrap();
    let connection = setup.by_hand();
    let alter = "UPDATE records SET text = replace(text, 'user_subject', 'user_else')";
    connection.execute_batch(alter).unwrap();
    rewrite(&connection);
    setup.store.rebuild().await.unwrap();
    verify(&setup.path(), None).unwrap();
    let error = tampered(verify(&setup.path(), Some(&setup.anchors())));
    assert!(error.to_string().contains("another hash"), "{error}");
}

#[tokio::test]
async fn front_that_was_removed_without_a_prune_is_found_with_an_anchor() {
    let setup = setup().await;
    setup.store.anchor().await.unwrap();
    let remove = "UPDATE chain SET (seq, hash) = (SELECT seq, hash FROM records WHERE seq = 3);
        DELETE FROM records WHERE seq <= 3;";
    setup.by_hand().execute_batch(remove).unwrap();
    setup.store.rebuild().await.unwrap();
    assert_eq!(verify(&setup.path(), None).unwrap().pruned, 3);
    let error = tampered(verify(&setup.path(), Some(&setup.anchors())));
    assert!(matches!(error, Tampered::Anchor { seq: 3, .. }), "{error}");
}

#[tokio::test]
async fn anchors_of_another_instance_do_not_count() {
    let (setup, other) = (setup().await, Setup::new());
    other.write(Call::new().returned("act_1")).await;
    other.store.anchor().await.unwrap();
    let error = tampered(verify(&setup.path(), Some(&other.anchors())));
    assert!(
        error.to_string().contains("no anchor of this instance"),
        "{error}"
    );
    let missing = setup.folder.path().join("missing");
    let error = verify(&setup.path(), Some(&missing)).unwrap_err();
    assert!(
        matches!(error, VerifyError::Unreadable(StoreError::Anchors { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn anchor_behind_half_a_line_is_read() {
    let setup = setup().await;
    std::fs::write(setup.anchors(), "{\"instance\":\"of a process that was ki").unwrap();
    let anchor = setup.store.anchor().await.unwrap();
    let text = std::fs::read_to_string(setup.anchors()).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(serde_json::from_str::<Anchor>(last).unwrap(), anchor);
    verify(&setup.path(), Some(&setup.anchors())).unwrap();
}

#[tokio::test]
async fn chain_goes_on_after_a_restart() {
    let setup = setup().await;
    let anchor = setup.store.anchor().await.unwrap();
    let Setup { folder, store } = setup;
    drop(store);
    let path = folder.path().join("audit.sqlite");
    let store = Store::open(&path, StoreOptions::new()).unwrap();
    let call = Call::new();
    let entries = vec![call.create(), call.follow_up(FollowUp::Accepted)];
    store.write(entries).await.unwrap();
    let verified = verify(&path, Some(&folder.path().join("anchors.jsonl"))).unwrap();
    assert_eq!((verified.instance, verified.records), (anchor.instance, 9));
}

#[tokio::test(start_paused = true)]
async fn anchors_are_written_while_the_chain_grows() {
    let setup = setup().await;
    let lines = || {
        std::fs::read_to_string(setup.anchors())
            .unwrap_or_default()
            .lines()
            .count()
    };
    let store = setup.store.clone();
    let maintain = tokio::spawn(async move { store.maintain().await });
    // The writer's thread has its own time, so that a minute may pass before it has written.
    let minutes = async |lines_then: usize| {
        for _ in 0..100 {
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            setup.store.write(Vec::new()).await.unwrap();
            if lines() == lines_then {
                break;
            }
        }
        assert_eq!(lines(), lines_then);
    };
    minutes(1).await;
    for _ in 0..10 {
        minutes(1).await;
    }
    setup.write(Call::new().returned("act_2")).await;
    minutes(2).await;
    maintain.abort();
}

#[tokio::test]
async fn altered_record_does_not_stop_the_audit() {
    let (setup, call) = (Setup::new(), Call::new());
    setup.write(call.returned("act_1")).await;
    let alter = "UPDATE records SET text = 'no entry' WHERE event = 'end'";
    setup.by_hand().execute_batch(alter).unwrap();
    setup.write([call.follow_up(FollowUp::Accepted)]).await;
    setup.write(Call::new().revoked("act_1")).await;
    assert!(verify(&setup.path(), None).is_err());
}
