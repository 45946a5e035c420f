//! The storage keeps every entry, shows what follows from it, and notices when a record was altered.

mod chain;
#[path = "../../../store/tests/engines/mod.rs"]
mod engines;
#[path = "../../../store/tests/engines/entries.rs"]
mod entries;
mod export;
mod failures;
mod model;
mod prune;
mod recovery;
mod replay;
mod throughput;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clerk_actor_tokens_gateway::{
    config::Anchors,
    store::{Store, StoreError, StoreOptions, Tampered, Verified, VerifyError, verify},
};
use clerk_actor_tokens_policy::audit::Entry;
use entries::*;
use rusqlite::Connection;
use tempfile::TempDir;

/// Whether several processes share the store.
const IS_SHARED: bool = false;

/// A store in a folder that is removed at the end. Its anchors are in a file beside it.
struct Setup {
    folder: TempDir,
    store: Store,
}

impl Setup {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::new();
        options.anchors = Anchors::File(folder.path().join("anchors.jsonl"));
        change(&mut options);
        let store = Store::open(&folder.path().join("audit.sqlite"), options).unwrap();
        Self { folder, store }
    }

    async fn open(session_lifetime: Option<Duration>) -> Self {
        Self::with(|options| {
            options.session_lifetime = session_lifetime.unwrap_or(options.session_lifetime);
        })
    }

    async fn empty(&mut self) {
        *self = Self::new();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.sqlite")
    }

    fn anchors(&self) -> PathBuf {
        self.folder.path().join("anchors.jsonl")
    }

    async fn write(&self, entries: impl Into<Vec<Entry>>) {
        self.store.write(entries.into()).await.unwrap();
    }

    async fn verify(&self) -> u64 {
        self.store.anchor().await.unwrap();
        let verified = verify(&self.path(), Some(&self.anchors()));
        verified.unwrap().records
    }

    /// Returns another connection, as of a person who changes the database by hand.
    fn by_hand(&self) -> Connection {
        by_hand(&self.path())
    }
}

fn by_hand(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection
}

/// Returns how the audit was altered.
fn tampered(verified: Result<Verified, VerifyError<StoreError>>) -> Tampered {
    match verified {
        Err(VerifyError::Tampered(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}
