//! [`PostgresError`], why the store cannot be used.

use std::error::Error as _;

use clerk_actor_tokens::BoxError;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The URL cannot be read. The error does not show it, because it may have a password.
    #[error("could not read the URL of PostgreSQL: expected postgres:// or a list of key=value")]
    Url,
    /// The root certificate cannot be read.
    #[error("could not read the root certificate: expected PEM")]
    RootCertificate,
    /// The URL asks for TLS, and the crate is built without a crypto provider.
    #[error("could not use TLS to PostgreSQL: enable the feature `ring` or `aws-lc-rs`")]
    Tls,
    /// A pooler between the process and PostgreSQL breaks advisory locks.
    #[error(
        "could not hold an advisory lock: connect to PostgreSQL itself, not by a pooler of transactions"
    )]
    Pooler,
    /// The server is too old.
    #[error("the server has version {version}: PostgreSQL 13 or newer is needed")]
    Server {
        /// Its `server_version_num`.
        version: u32,
    },
    /// The server takes no writes.
    #[error("the server takes no writes: it is a standby, or its transactions are read-only")]
    ReadOnly,
    /// The database stores another encoding.
    #[error("the database has the encoding {encoding}: UTF8 is needed")]
    Encoding {
        /// Its encoding.
        encoding: String,
    },
    /// The tables are those of another version.
    #[error("the tables have version {version}: another version of this crate wrote them")]
    Version {
        /// Their version.
        version: usize,
    },
    /// PostgreSQL did not respond in time.
    #[error("PostgreSQL did not respond in time")]
    Timeout,
    /// The instance was stopped.
    #[error("the instance was stopped")]
    Stopped,
    /// The thread of the writer cannot be started.
    #[error("could not start the thread of the writer")]
    Thread {
        /// Why.
        source: std::io::Error,
    },
    /// The anchors cannot be read or written.
    #[error("could not read or write the anchors")]
    Anchors {
        /// Why.
        source: std::io::Error,
    },
    /// The export cannot be written.
    #[error("could not write the export")]
    Export {
        /// Why.
        source: std::io::Error,
    },
    /// The cursor of a filter is not one of a page.
    #[error("`before` is not the `next` of a page")]
    Cursor,
    /// The database cannot be used now.
    #[error("could not use the database: {source}")]
    Database {
        /// Why.
        source: BoxError,
    },
}

impl From<BoxError> for PostgresError {
    fn from(error: BoxError) -> Self {
        let error = match error.downcast() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        let source = match error.downcast::<tokio_postgres::Error>() {
            Ok(error) => in_words(&error).into(),
            Err(error) => error,
        };
        Self::Database { source }
    }
}

/// Returns the error with its cause, which `Display` leaves out. Details of the server may hold values, its message
/// does not.
fn in_words(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(error), _) => format!("{} ({})", error.message(), error.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
