//! [`StoreError`], why the storage cannot be used.

use std::{io, path::PathBuf};

use clerk_actor_tokens::BoxError;

/// Why the storage cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process uses the database.
    #[error("another process uses the database: it has locked {}", lock.display())]
    InUse {
        /// The lock file.
        lock: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("could not lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be opened.
    #[error("could not open the database {}", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// Why.
        source: BoxError,
    },
    /// The tables of the database are those of another version.
    #[error(
        "the tables of the database have version {version}: another version of the gateway wrote them"
    )]
    Version {
        /// Their version.
        version: usize,
    },
    /// The database is that of another instance.
    #[error("the database is that of the instance `{instance}`")]
    Instance {
        /// The instance of the database.
        instance: String,
    },
    /// The database is not the one that was opened.
    #[error(
        "the database or a file beside it was moved or replaced: put it back, or restart the gateway"
    )]
    Replaced,
    /// The thread of the writer cannot be started.
    #[error("could not start the thread of the writer")]
    Thread {
        /// Why.
        source: io::Error,
    },
    /// The anchors cannot be read or written.
    #[error("could not read or write the anchors")]
    Anchors {
        /// Why.
        source: io::Error,
    },
    /// The export cannot be written.
    #[error("could not write the export")]
    Export {
        /// Why.
        source: io::Error,
    },
    /// The cursor of a filter is not one of a page.
    #[error("`before` is not the `next` of a page")]
    Cursor,
    /// The database cannot be used now: it is full, read-only, locked or broken.
    #[error("could not use the database: {source}")]
    Database {
        /// Why.
        source: BoxError,
    },
}

impl From<BoxError> for StoreError {
    fn from(error: BoxError) -> Self {
        match error.downcast() {
            Ok(error) => *error,
            Err(source) => Self::Database { source },
        }
    }
}
