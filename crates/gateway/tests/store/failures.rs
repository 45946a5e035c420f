//! A database that cannot be written makes writes fail as a whole, does not hinder reads, and is written again
//! when the cause is gone.

use std::{error::Error, fs, process::Command, time::SystemTime};

use clerk_actor_tokens_gateway::store::{
    CallFilter, LeaseState, Store, StoreError, StoreOptions, export, verify,
};
use clerk_actor_tokens_policy::audit::{AuditRecord, AuditSink, Begin, SinkUnavailable};

use crate::{Call, HOUR, Setup, by_hand, create, expired, returned, size};

fn reason(error: &SinkUnavailable) -> String {
    error.source().unwrap().to_string()
}

#[tokio::test]
async fn second_opener_is_refused_and_the_error_names_the_lock_file() {
    let setup = Setup::new();
    let error = Store::open(&setup.path(), StoreOptions::new()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().ends_with("audit.sqlite.lock"), "{error}");
    let Setup { folder, store } = setup;
    drop(store);
    Store::open(&folder.path().join("audit.sqlite"), StoreOptions::new()).unwrap();
}

#[tokio::test]
async fn full_database_refuses_entries_until_records_are_pruned() {
    let setup = Setup::with(|options| options.max_bytes = Some(400_000));
    let mut written = 0;
    let error = loop {
        match setup.store.write(expired()).await {
            Ok(()) => written += 3,
            Err(error) => break error,
        }
    };
    assert!(reason(&error).contains("full"), "{}", reason(&error));
    // There may be room for a single record, such as that of the probe.
    while setup.store.write(expired()).await.is_ok() {
        written += 3;
    }
    // The batch that failed left no trace, and what was written can be read.
    assert_eq!(verify(&setup.path(), None).unwrap().records, written);
    let page = setup.store.calls(CallFilter::default()).await.unwrap();
    assert_eq!(page.items.len(), 200);
    assert!(size(&setup.path()) <= 400_000);

    let before = SystemTime::now() - HOUR;
    assert_eq!(setup.store.prune(before).await.unwrap(), written);
    assert!(setup.store.is_available().await);
    setup.write(Call::new().returned("act_2")).await;
    verify(&setup.path(), Some(&setup.anchors())).unwrap();
}

/// A file that may not grow stands for a full disk: the kernel refuses the write.
#[cfg(unix)]
#[test]
fn full_disk_refuses_entries_until_there_is_room() {
    // Only a process of its own can have a limit, and a shell can make it ignore the signal of the limit.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "failures::child_with_a_limit",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && output.contains("1 passed"),
        "{child:?}"
    );
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "the child of another test"]
async fn child_with_a_limit() {
    use rlimit::Resource;

    let (setup, call) = (Setup::new(), Call::new());
    setup.write([call.create(), call.sending()]).await;
    let (_, most) = Resource::FSIZE.get().unwrap();
    Resource::FSIZE.set(0, most).unwrap();
    for _ in 0..2 {
        let error = setup.store.write(expired()).await.unwrap_err();
        assert!(
            reason(&error).contains("disk I/O error"),
            "{}",
            reason(&error)
        );
        assert!(!setup.store.is_available().await);
        assert_eq!(setup.store.open_calls().await.unwrap().len(), 1);
        assert_eq!(verify(&setup.path(), None).unwrap().records, 2);
    }
    Resource::FSIZE.set(most, most).unwrap();
    setup.write([call.end(returned("act_1"))]).await;
    assert!(setup.store.is_available().await);
    assert_eq!(verify(&setup.path(), None).unwrap().records, 3);
}

/// Makes every write fail by hand, in one way or another, and ends that.
const CAUSES: [(&str, &str, &str); 2] = [
    ("BEGIN IMMEDIATE", "ROLLBACK", "locked"),
    (
        "CREATE TRIGGER read_only BEFORE INSERT ON records WHEN NEW.event = 'end'
         BEGIN SELECT RAISE(ABORT, 'read-only'); END",
        "DROP TRIGGER read_only",
        "read-only",
    ),
];

#[tokio::test]
async fn database_that_cannot_be_written_recovers_without_a_restart() {
    for (cause, remedy, word) in CAUSES {
        let (setup, by_hand) = (Setup::new(), Call::new());
        let writer = setup.store.writer();
        let mut record = writer.begin(by_hand.0, Begin::of(&create())).await.unwrap();
        record.sending().await.unwrap();
        let connection = setup.by_hand();
        connection.execute_batch(cause).unwrap();

        let entries = Call::new().returned("act_2").to_vec();
        let error = setup.store.write(entries).await.unwrap_err();
        assert!(reason(&error).contains(word), "{}", reason(&error));
        let error = record.end(returned("act_1")).await.unwrap_err();
        assert!(reason(&error).contains(word), "{}", reason(&error));
        // Nothing of either batch is there, and reads go on.
        assert_eq!(verify(&setup.path(), None).unwrap().records, 2);
        assert_eq!(setup.store.open_calls().await.unwrap().len(), 1);

        connection.execute_batch(remedy).unwrap();
        assert!(setup.store.is_available().await);
        // The end is owed, and was written with the probe.
        assert_eq!(setup.state().await, Some(LeaseState::Returned));
        assert_eq!(verify(&setup.path(), None).unwrap().records, 3);
    }
}

#[tokio::test]
async fn locked_database_is_not_available() {
    let setup = Setup::new();
    assert!(setup.store.is_available().await);
    let connection = setup.by_hand();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(!setup.store.is_available().await);
}

#[cfg(unix)]
#[tokio::test]
async fn database_that_was_moved_away_is_not_written_until_it_is_back() {
    let setup = Setup::new();
    setup.write(Call::new().returned("act_1")).await;
    let is_refused = async || {
        let entries = Call::new().returned("act_2").to_vec();
        let error = setup.store.write(entries).await.unwrap_err();
        assert!(reason(&error).contains("replaced"), "{}", reason(&error));
    };
    for name in ["audit.sqlite", "audit.sqlite-wal"] {
        let [path, elsewhere] = [name, "elsewhere"].map(|name| setup.folder.path().join(name));
        fs::rename(&path, &elsewhere).unwrap();
        is_refused().await;
        assert!(!path.exists(), "no other database is begun");
        fs::write(&path, "another file").unwrap();
        is_refused().await;
        fs::rename(&elsewhere, &path).unwrap();
        setup.write(Call::new().returned("act_2")).await;
    }
    assert_eq!(verify(&setup.path(), None).unwrap().records, 9);
}

#[tokio::test]
async fn end_is_written_when_the_runtime_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.sqlite");
    let opened = path.clone();
    let runtime = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = Store::open(&opened, StoreOptions::new()).unwrap();
        let (writer, begin) = (store.writer(), Begin::of(&create()));
        let begin = runtime.block_on(writer.begin(Call::new().0, begin));
        drop(runtime);
        drop(begin);
    });
    runtime.join().unwrap();
    // The lock is free when the thread has ended.
    let store = Store::open(&path, StoreOptions::new()).unwrap();
    assert!(store.open_calls().await.unwrap().is_empty());
    let page = store.calls(CallFilter::default()).await.unwrap();
    assert_eq!(page.items[0].end.as_deref(), Some("abandoned"));
}

#[tokio::test]
async fn path_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| Store::open(&folder.path().join(name), StoreOptions::new());
    let text = |error: StoreError| {
        let source = error.source().map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    };
    let error = text(open("missing/audit.sqlite").unwrap_err());
    assert!(error.contains("audit.sqlite.lock: No such file"), "{error}");
    fs::create_dir(folder.path().join("folder")).unwrap();
    let error = text(open("folder").unwrap_err());
    assert!(error.contains("could not open the database"), "{error}");
    fs::write(folder.path().join("text"), "no database".repeat(1_000)).unwrap();
    let error = text(open("text").unwrap_err());
    assert!(error.contains("not a database"), "{error}");
}

#[tokio::test]
async fn database_of_a_newer_version_or_another_instance_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.sqlite");
    let mut options = StoreOptions::new();
    options.instance = Some("berlin".into());
    drop(Store::open(&path, options.clone()).unwrap());
    options.instance = Some("paris".into());
    let error = Store::open(&path, options).unwrap_err();
    assert!(error.to_string().contains("`berlin`"), "{error}");

    by_hand(&path)
        .pragma_update(None, "user_version", 99)
        .unwrap();
    for error in [
        Store::open(&path, StoreOptions::new()).unwrap_err(),
        export(&path, None, std::io::sink()).unwrap_err(),
    ] {
        assert!(
            matches!(error, StoreError::Version { version: 99 }),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn new_database_can_be_read_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let setup = Setup::new();
    setup.write(Call::new().returned("act_1")).await;
    for name in ["audit.sqlite", "audit.sqlite-wal"] {
        let mode = fs::metadata(setup.folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
