//! Any lines of an audit: an entry does not change when it is written and read again, its `Debug` leaves out
//! users, and a spool replays every entry that it holds.
//!
//! Input: the file of a spool. If a line `====` divides it, the first part was being replayed. A `~` that begins
//! `subject`, `actor`, `reason` or `detail` becomes the marker.

#![no_main]

use std::{
    cell::RefCell,
    collections::HashSet,
    fs,
    mem::discriminant,
    path::{Path, PathBuf},
};

use clerk_actor_tokens_fuzz::{
    MARKER, io_runtime,
    response::{replace, split_once},
    workspace,
};
use clerk_actor_tokens_policy::{
    AuditLayer,
    audit::{Entry, MemorySink, Spool},
};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::runtime::Runtime;

thread_local! {
    static RUNTIME: Runtime = io_runtime();
    static FOLDER: TempDir = workspace();
    static NUMBER: RefCell<u64> = const { RefCell::new(0) };
}

fuzz_target!(|bytes: &[u8]| {
    let mut text = replace(bytes, MARKER.as_bytes(), b"marker");
    for field in ["subject", "actor", "reason", "detail"] {
        let marked = format!("\"{field}\":\"{MARKER}");
        text = replace(
            &text,
            format!("\"{field}\":\"~").as_bytes(),
            marked.as_bytes(),
        );
    }
    let (taken, waiting) = match split_once(&text, b"\n====\n") {
        Some((taken, waiting)) => (Some(taken), waiting),
        None => (None, &*text),
    };
    let lines = taken
        .into_iter()
        .chain([waiting])
        .flat_map(|it| it.split(|byte| *byte == b'\n'));
    let mut entries: Vec<Entry> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    entries.iter().for_each(check);

    // A sink keeps one of each.
    let mut known = HashSet::new();
    entries.retain(|it| known.insert((it.call, discriminant(&it.event))));
    entries.iter_mut().for_each(|entry| entry.late = true);
    assert_eq!(replay(taken, waiting), entries);
});

fn check(entry: &Entry) {
    let written = serde_json::to_string(entry).expect("an entry can be written");
    let again: Entry = serde_json::from_str(&written).expect("a written entry can be read");
    assert_eq!(again, *entry);
    assert_eq!(
        serde_json::to_string(&again).expect("an entry can be written"),
        written
    );
    for shown in [format!("{entry:?}"), format!("{entry:#?}")] {
        assert!(!shown.contains(MARKER), "a user shows: {shown}");
    }
}

/// Replays the spool of an earlier process.
fn replay(taken: Option<&[u8]>, waiting: &[u8]) -> Vec<Entry> {
    let path = new_path();
    let beside = path.with_extension("jsonl.replay");
    fs::write(&path, waiting).expect("a file");
    if let Some(taken) = taken {
        fs::write(&beside, taken).expect("a file");
    }
    let (spool, sink) = (Spool::open(&path).expect("a spool"), MemorySink::new());
    let audit = AuditLayer::with_spool(sink.clone(), spool.clone());
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            audit.replay().await.expect("a replay");
            assert_eq!(spool.depth(), 0);
            let count = sink.entries().len();
            audit.replay().await.expect("a replay");
            assert_eq!(sink.entries().len(), count);
        });
    });
    assert!(is_empty(&path) && is_empty(&beside));
    fs::remove_file(&path).expect("the file of the spool");
    sink.entries()
}

fn is_empty(path: &Path) -> bool {
    fs::read(path).unwrap_or_default().is_empty()
}

/// Returns a new path, because the thread of an earlier spool may not have ended.
fn new_path() -> PathBuf {
    let number = NUMBER.with_borrow_mut(|number| {
        *number += 1;
        *number
    });
    FOLDER.with(|folder| folder.path().join(format!("{number}.jsonl")))
}
