//! A record, an instance or a derived row that was altered, removed or moved is found and named.

use clerk_actor_tokens_policy::audit::{Entry, FollowUp, Note};
use clerk_actor_tokens_postgres::{PostgresError, PostgresStore, VerifyError, verify};
use clerk_actor_tokens_store::PAUSED;

use crate::support::{Admin, Call, Server, returned};

/// Two instances: `{A}` with six records, of which the first three are of the call `{C}`, and `{B}` with three.
struct Setup {
    server: Server,
    admin: Admin,
    stores: [PostgresStore; 2],
    call: Call,
}

impl Setup {
    async fn new() -> Self {
        let server = Server::start();
        let stores = [server.connect().await, server.connect().await];
        let (admin, call, revoke) = (server.admin().await, Call::new(), Call::new());
        stores[0]
            .write(call.returned("act_1").into())
            .await
            .unwrap();
        stores[1]
            .write(vec![revoke.revoke("act_1"), revoke.sending()])
            .await
            .unwrap();
        // The second end of the call is late.
        let late = vec![
            call.end(returned("act_2")),
            call.follow_up(FollowUp::Accepted),
        ];
        stores[0].write(late).await.unwrap();
        stores[1]
            .write(vec![revoke.end(returned("act_1"))])
            .await
            .unwrap();
        stores[0]
            .write(vec![Entry::note(Note::new(PAUSED))])
            .await
            .unwrap();
        Self {
            server,
            admin,
            stores,
            call,
        }
    }

    /// Returns a text with names for instances and the call instead of placeholders.
    fn named(&self, text: &str) -> String {
        text.replace("{A}", &self.stores[0].instance())
            .replace("{B}", &self.stores[1].instance())
            .replace("{C}", &self.call.0.to_string())
    }

    async fn execute(&self, sql: &str) {
        self.admin.0.batch_execute(&self.named(sql)).await.unwrap();
    }

    async fn anchor(&self) {
        for store in &self.stores {
            store.anchor().await.unwrap();
        }
    }

    async fn verify(&self) -> Result<(), VerifyError<PostgresError>> {
        verify(self.server.config(), None).await.map(drop)
    }

    async fn verify_with_anchors(
        &self,
    ) -> Result<Vec<(u64, u64, Option<u64>)>, VerifyError<PostgresError>> {
        let anchors = self.server.anchors();
        let verified = verify(self.server.config(), Some(&anchors)).await?;
        let numbers = verified.iter().map(|it| (it.records, it.last, it.anchored));
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Keeps the tables, so that `restore` can put them back.
    async fn keep(&self) {
        let keep = "CREATE SCHEMA kept; CREATE TABLE kept.instances AS TABLE instances;
            CREATE TABLE kept.records AS TABLE records; CREATE TABLE kept.calls AS TABLE calls;
            CREATE TABLE kept.settings AS TABLE settings";
        self.execute(keep).await;
    }

    async fn restore(&self) {
        let restore = "TRUNCATE instances, records, calls, settings;
            INSERT INTO instances TABLE kept.instances; INSERT INTO calls TABLE kept.calls;
            INSERT INTO records OVERRIDING SYSTEM VALUE TABLE kept.records;
            INSERT INTO settings TABLE kept.settings";
        self.execute(restore).await;
    }

    /// Verifies after each change, and compares the error.
    async fn find(&self, with_anchors: bool, cases: &[(&str, &str)]) {
        self.keep().await;
        for (change, expected) in cases {
            self.execute(change).await;
            let result = match with_anchors {
                true => self.verify_with_anchors().await.map(drop),
                false => self.verify().await,
            };
            let error = result.expect_err(change).to_string();
            assert_eq!(error, self.named(expected), "{change}");
            self.restore().await;
        }
    }
}

/// Computes the hashes of `{A}` again, as a person would who knows the format.
const REWRITE: &str = "
    CREATE OR REPLACE FUNCTION rewrite() RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        r record;
        last bytea := (SELECT first_hash FROM instances WHERE instance = '{A}');
    BEGIN
        FOR r IN SELECT * FROM records WHERE instance = '{A}' ORDER BY seq LOOP
            last := sha256(last || int8send(r.seq) || convert_to(r.text, 'UTF8'));
            UPDATE records SET hash = last WHERE id = r.id;
            UPDATE instances SET seq = r.seq, hash = last WHERE instance = '{A}';
        END LOOP;
    END $$; SELECT rewrite()";

#[tokio::test]
async fn altered_or_removed_row_is_found() {
    const TEXT: &str = "record 3 of the instance `{A}`, of call {C}: its text, or an earlier one, was altered, removed or moved";
    const COLUMN: &str =
        "record 3 of the instance `{A}`, of call {C}: a column differs from its text";
    const REMOVED: &str = "record 3 of the instance `{A}` was removed";
    const FIRST: &str = "record 1 of the instance `{A}` was removed";
    const LAST: &str = "record 6 of the instance `{A}` was removed";
    const ROOT: &str = "the instance `{A}`: its chain does not begin with its name";
    const HEAD: &str = "the instance `{A}`: its newest record is not the head of its chain";
    const CALL: &str = "the row {C} in calls does not follow from the records";
    const PAUSED: &str = "the row paused in settings does not follow from the records";
    let cases = [
        ("UPDATE records SET text = replace(text, 'act_1', 'act_2') WHERE instance = '{A}' AND seq = 3", TEXT),
        ("UPDATE records SET hash = '\\x00' WHERE instance = '{A}' AND seq = 3", TEXT),
        ("UPDATE records SET at = at + 1 WHERE instance = '{A}' AND seq = 3", COLUMN),
        ("UPDATE records SET event = 'late' WHERE instance = '{A}' AND seq = 3", COLUMN),
        ("UPDATE records SET event = 'follow_up' WHERE instance = '{A}' AND seq = 3", COLUMN),
        ("UPDATE records SET call = repeat('0', 32) WHERE instance = '{A}' AND seq = 3", COLUMN),
        ("UPDATE records SET seq = 99 WHERE instance = '{A}' AND seq = 3", REMOVED),
        ("UPDATE records SET instance = '{B}', seq = 99 WHERE instance = '{A}' AND seq = 3",
            "record 1 of the instance `{B}` was removed"),
        ("DELETE FROM records WHERE instance = '{A}' AND seq = 3", REMOVED),
        ("DELETE FROM records WHERE instance = '{A}' AND seq = 1", FIRST),
        ("DELETE FROM records WHERE instance = '{A}' AND seq = 6", LAST),
        ("DELETE FROM records WHERE instance = '{A}'", FIRST),
        ("DELETE FROM records WHERE instance = '{A}' AND seq = 3;
            UPDATE records SET seq = -seq WHERE instance = '{A}' AND seq > 3;
            UPDATE records SET seq = -seq - 1 WHERE instance = '{A}' AND seq < 0",
            "record 3 of the instance `{A}`, of call {C}: its text, or an earlier one, was altered, removed or moved"),
        // The first end is the late one now.
        ("UPDATE records SET event = 'late' WHERE instance = '{A}' AND seq = 3;
            UPDATE records SET event = 'end' WHERE instance = '{A}' AND seq = 4", COLUMN),
        ("INSERT INTO records (instance, seq, call, at, event, text, hash)
            SELECT instance, 7, call, at, event, text, sha256(hash || int8send(7) || convert_to(text, 'UTF8'))
            FROM records WHERE instance = '{A}' AND seq = 6", HEAD),
        ("UPDATE records SET text = 'none' WHERE instance = '{A}' AND seq = 3; REWRITE",
            "record 3 of the instance `{A}`, of call {C}: it is no entry"),
        ("UPDATE instances SET hash = sha256('') WHERE instance = '{A}'", HEAD),
        ("UPDATE instances SET seq = 7 WHERE instance = '{A}'",
            "record 7 of the instance `{A}` was removed"),
        ("UPDATE instances SET seq = 5 WHERE instance = '{A}'", HEAD),
        ("UPDATE instances SET first_hash = sha256('') WHERE instance = '{A}'", ROOT),
        ("UPDATE instances SET first_hash = '\\x00' WHERE instance = '{A}'",
            "the instance `{A}`: its row was altered"),
        ("UPDATE instances SET first_seq = 1 WHERE instance = '{A}'",
            "record 2 of the instance `{A}` was removed"),
        ("UPDATE instances SET instance = 'other' WHERE instance = '{A}'",
            "the instance `other`: its chain does not begin with its name"),
        ("DELETE FROM instances WHERE instance = '{A}'", "the instance `{A}`: its row was removed"),
        ("UPDATE calls SET reason = 'none' WHERE call = '{C}'", CALL),
        ("UPDATE calls SET token_state = 'expired' WHERE call = '{C}'", CALL),
        ("UPDATE calls SET id = 99 WHERE call = '{C}'", CALL),
        ("UPDATE calls SET instance = '{B}' WHERE call = '{C}'", CALL),
        ("DELETE FROM calls WHERE call = '{C}'", CALL),
        ("INSERT INTO calls (id, call, instance, began_at, operation) VALUES (99, 'none', '{A}', 1, 'create')",
            "the row none in calls does not follow from the records"),
        ("UPDATE settings SET reason = 'none'", PAUSED),
        ("DELETE FROM settings", PAUSED),
    ];
    let setup = Setup::new().await;
    setup.verify().await.unwrap();
    let cases = cases.map(|(change, expected)| (change.replace("REWRITE", REWRITE), expected));
    let cases: Vec<_> = cases
        .iter()
        .map(|(change, expected)| (&**change, *expected))
        .collect();
    setup.find(false, &cases).await;
    setup.verify().await.unwrap();
}

/// Derives the tables from the records again is not possible by hand: these changes keep them as they are.
#[tokio::test]
async fn change_that_keeps_a_chain_is_found_with_an_anchor() {
    // The note is the newest record, and its setting the only row that follows from it.
    let remove_newest =
        "DELETE FROM records WHERE instance = '{A}' AND seq = 6; DELETE FROM settings;";
    let remove = remove_newest.to_owned() + REWRITE;
    let rewrite =
        "UPDATE records SET text = replace(text, '\"note\":\"paused\"', '\"note\":\"started\"')
            WHERE instance = '{A}' AND seq = 6;
        DELETE FROM settings;"
            .to_owned()
            + REWRITE;
    let front = "UPDATE instances SET (first_seq, first_hash) =
            (SELECT seq, hash FROM records WHERE instance = '{A}' AND seq = 5) WHERE instance = '{A}';
        DELETE FROM records WHERE instance = '{A}' AND seq <= 5; DELETE FROM calls WHERE call = '{C}'";
    let instance =
        "DELETE FROM records WHERE instance = '{A}'; DELETE FROM instances WHERE instance = '{A}';
        DELETE FROM calls WHERE call = '{C}'; DELETE FROM settings";
    let cases = [
        (
            &*remove,
            "the anchor of record 6 of the instance `{A}`: its record is not there, so the newest records were removed",
        ),
        (
            &rewrite,
            "the anchor of record 6 of the instance `{A}`: its record has another hash, so the chain was written again",
        ),
        (
            front,
            "the anchor of record 5 of the instance `{A}`: no anchor says that it was pruned",
        ),
        (
            instance,
            "the anchor of record 6 of the instance `{A}`: the instance was removed",
        ),
    ];
    let setup = Setup::new().await;
    setup.anchor().await;
    let covered = [(3, 3, Some(3)), (6, 6, Some(6))];
    assert_eq!(setup.verify_with_anchors().await.unwrap(), covered);
    setup.find(true, &cases).await;
    for (change, _) in cases {
        setup.execute(change).await;
        setup.verify().await.unwrap();
        setup.restore().await;
    }
}

#[tokio::test]
async fn records_that_no_anchor_covers_are_shown() {
    let setup = Setup::new().await;
    setup.stores[0].anchor().await.unwrap();
    let verified = setup.verify_with_anchors().await.unwrap();
    assert_eq!(verified, [(3, 3, None), (6, 6, Some(6))]);
    std::fs::write(setup.server.anchors(), "").unwrap();
    let error = setup.verify_with_anchors().await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("there is no anchor of this instance"),
        "{error}"
    );
    std::fs::remove_file(setup.server.anchors()).unwrap();
    let error = setup.verify_with_anchors().await.unwrap_err();
    assert!(matches!(error, VerifyError::Unreadable(_)), "{error}");
}

#[tokio::test]
async fn audit_is_verified_while_instances_write() {
    let setup = Setup::new().await;
    setup.anchor().await;
    let store = setup.stores[1].clone();
    let writing = tokio::spawn(async move {
        for _ in 0..200 {
            store
                .write(Call::new().returned("act_1").into())
                .await
                .unwrap();
        }
    });
    while !writing.is_finished() {
        setup.verify_with_anchors().await.unwrap();
    }
    writing.await.unwrap();
}
