//! The sink of JSON lines and the spool in a file: rotation, failures, and the end of its thread.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use clerk_actor_tokens::{ClientBuilder, sandbox::Sandbox};
use clerk_actor_tokens_policy::{
    CallId,
    audit::{
        AuditBarrierLayer, AuditLayer, AuditRecord, AuditSink, Begin, End, Entry, FollowUp,
        JsonLinesSink, SinkUnavailable,
    },
};

use crate::{SECOND, create, word};

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("audit-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn words(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let entries = text
        .lines()
        .map(|line| serde_json::from_str::<Entry>(line).unwrap());
    entries.map(|entry| word(&entry)).collect()
}

async fn begin(
    sink: &JsonLinesSink,
) -> Result<<JsonLinesSink as AuditSink>::Record, SinkUnavailable> {
    sink.begin(CallId::create(), Begin::of(&create())).await
}

#[tokio::test]
async fn entry_is_in_the_file_when_its_future_is_ready() {
    let folder = Folder::new("ready");
    let path = folder.file("audit.jsonl");
    let sink = JsonLinesSink::open(&path).unwrap();
    let mut record = begin(&sink).await.unwrap();
    assert_eq!(words(&path), ["begin"]);
    record.sending().await.unwrap();
    assert_eq!(words(&path), ["begin", "sending"]);
    record.end(End::Abandoned).await.unwrap();
    assert_eq!(words(&path), ["begin", "sending", "abandoned"]);
    sink.follow_up(CallId::create(), FollowUp::Accepted);
    sink.flush().await.unwrap();
    assert_eq!(words(&path)[3..], ["Accepted"]);
}

#[tokio::test]
async fn file_without_a_folder_in_its_path_is_opened() {
    let path = PathBuf::from(format!("audit-without-folder-{}", process::id()));
    let opened = JsonLinesSink::open(&path);
    fs::remove_file(&path).unwrap();
    opened.unwrap();
}

#[tokio::test]
async fn record_that_is_dropped_is_abandoned_and_an_end_without_a_future_is_written() {
    let folder = Folder::new("dropped");
    let path = folder.file("audit.jsonl");
    let sink = JsonLinesSink::open(&path).unwrap();
    drop(begin(&sink).await.unwrap());
    drop(begin(&sink).await.unwrap().end(End::Abandoned));
    begin(&sink).await.unwrap().end_on_drop(End::Abandoned);
    sink.flush().await.unwrap();
    assert_eq!(words(&path), ["begin", "abandoned"].repeat(3));
}

#[tokio::test]
async fn begin_that_is_dropped_is_not_written_or_is_abandoned() {
    let folder = Folder::new("begin");
    let path = folder.file("audit.jsonl");
    let sink = JsonLinesSink::open(&path).unwrap();
    for _ in 0..200 {
        let mut begin = Box::pin(begin(&sink));
        assert!(futures_util::poll!(&mut begin).is_pending());
        drop(begin);
    }
    sink.flush().await.unwrap();
    // The end of the last one may follow the flush.
    sink.flush().await.unwrap();
    let words = words(&path);
    let count = |word| words.iter().filter(|it| *it == word).count();
    assert_eq!(count("begin"), count("abandoned"), "{words:?}");
}

#[tokio::test]
async fn file_that_was_rotated_is_begun_again() {
    let folder = Folder::new("rotated");
    let (path, old) = (folder.file("audit.jsonl"), folder.file("audit.jsonl.1"));
    let sink = JsonLinesSink::open(&path).unwrap();
    let record = begin(&sink).await.unwrap();
    fs::rename(&path, &old).unwrap();
    record.end(End::Abandoned).await.unwrap();
    assert_eq!(words(&old), ["begin"]);
    assert_eq!(words(&path), ["abandoned"]);
}

#[tokio::test]
async fn end_that_could_not_be_written_is_written_once_later() {
    let folder = Folder::new("failing");
    let path = folder.file("audit.jsonl");
    let sink = JsonLinesSink::open(&path).unwrap();
    let record = begin(&sink).await.unwrap();
    let other = begin(&sink).await.unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(record.end(End::Abandoned).await.is_err());
    other.end_on_drop(End::Abandoned);
    assert!(begin(&sink).await.is_err());
    assert!(sink.flush().await.is_err());
    fs::remove_dir(&path).unwrap();
    sink.flush().await.unwrap();
    assert_eq!(words(&path), ["abandoned", "abandoned"]);
}

#[test]
fn what_a_runtime_that_shuts_down_drops_is_written() {
    let folder = Folder::new("shutdown");
    let path = folder.file("audit.jsonl");
    let sink = Arc::new(JsonLinesSink::open(&path).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let in_task = Arc::clone(&sink);
    let (begun, is_begun) = tokio::sync::oneshot::channel();
    runtime.spawn(async move {
        let _record = begin(&in_task).await.unwrap();
        begun.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    runtime.block_on(is_begun).unwrap();
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(sink.flush()).unwrap();
    assert_eq!(words(&path), ["begin", "abandoned"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_at_once_are_all_in_the_file() {
    let folder = Folder::new("many");
    let path = folder.file("audit.jsonl");
    let sink = JsonLinesSink::open(&path).unwrap();
    let calls = (0..200).map(|_| {
        let sink = sink.clone();
        tokio::spawn(async move {
            let mut record = begin(&sink).await.unwrap();
            record.sending().await.unwrap();
            record.end(End::Abandoned).await.unwrap();
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_eq!(words(&path).len(), 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_cancelled_on_threads_have_one_end_each_in_the_file() {
    let folder = Folder::new("cancelled");
    let path = folder.file("audit.jsonl");
    let sink = JsonLinesSink::open(&path).unwrap();
    let sandbox = Sandbox::new();
    let audit = AuditLayer::new(sink.clone());
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .on_settle(audit.on_settle())
        .observe_layer(audit)
        .call_layer(AuditBarrierLayer::new())
        .build()
        .unwrap();
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { drop(client.send(create()).await) })
        })
        .collect();
    for (number, call) in calls.iter().enumerate() {
        if number % 3 == 0 {
            call.abort();
            tokio::task::yield_now().await;
        }
    }
    for call in calls {
        let _ = call.await;
    }
    assert!(client.drain(60 * SECOND).await.is_complete());
    sink.flush().await.unwrap();
    sink.flush().await.unwrap();
    let mut calls = HashMap::<CallId, Vec<String>>::new();
    for line in fs::read_to_string(&path).unwrap().lines() {
        let entry: Entry = serde_json::from_str(line).unwrap();
        calls.entry(entry.call).or_default().push(word(&entry));
    }
    assert!(calls.len() >= 200, "{}", calls.len());
    for (call, words) in calls {
        let is_end = |word: &&String| {
            let others = ["begin", "sending", "Withheld"];
            !others.contains(&&***word) && !word.starts_with("settled")
        };
        assert_eq!(words[0], "begin", "{call}: {words:?}");
        assert_eq!(words.iter().filter(is_end).count(), 1, "{call}: {words:?}");
    }
    assert_eq!(sandbox.ledger().pending().count(), 0);
}

#[tokio::test]
async fn follow_ups_beyond_the_slots_are_dropped_and_counted() {
    let folder = Folder::new("follow-ups");
    let path = folder.file("audit.jsonl");
    let sink = JsonLinesSink::open(&path).unwrap();
    let record = begin(&sink).await.unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    for _ in 0..4096 + 5 {
        sink.follow_up(CallId::create(), FollowUp::Accepted);
    }
    assert_eq!(sink.dropped_follow_ups(), 5);
    // The slot of the end is not theirs.
    record.end_on_drop(End::Abandoned);
    fs::remove_dir(&path).unwrap();
    sink.flush().await.unwrap();
    assert_eq!(words(&path).len(), 4096 + 1);
}
