//! [`Writer`], the sink of either storage.

use clerk_actor_tokens_policy::{
    AuditSink, CallId,
    audit::{self, AuditRecord, Begin, End, Entry, FollowUp, SinkUnavailable},
};
use clerk_actor_tokens_postgres::{self as postgres, PostgresLog};

use crate::store::{self, SqliteLog};

/// The sink of a [`Storage`](super::Storage).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Writer {
    /// Writes to SQLite.
    Sqlite(store::Writer),
    /// Writes to PostgreSQL.
    Postgres(postgres::Writer),
}

/// A call that has begun, in a [`Writer`].
#[derive(Debug)]
#[non_exhaustive]
pub enum WriterRecord {
    /// A call in SQLite.
    Sqlite(audit::WriterRecord<SqliteLog>),
    /// A call in PostgreSQL.
    Postgres(audit::WriterRecord<PostgresLog>),
}

impl AuditSink for Writer {
    type Record = WriterRecord;

    async fn begin(&self, call: CallId, begin: Begin) -> Result<WriterRecord, SinkUnavailable> {
        match self {
            Self::Sqlite(writer) => writer.begin(call, begin).await.map(WriterRecord::Sqlite),
            Self::Postgres(writer) => writer.begin(call, begin).await.map(WriterRecord::Postgres),
        }
    }

    async fn late(&self, entries: Vec<Entry>) -> Result<(), SinkUnavailable> {
        match self {
            Self::Sqlite(writer) => writer.late(entries).await,
            Self::Postgres(writer) => writer.late(entries).await,
        }
    }

    fn follow_up(&self, call: CallId, event: FollowUp) {
        match self {
            Self::Sqlite(writer) => writer.follow_up(call, event),
            Self::Postgres(writer) => writer.follow_up(call, event),
        }
    }
}

impl AuditRecord for WriterRecord {
    async fn sending(&mut self) -> Result<(), SinkUnavailable> {
        match self {
            Self::Sqlite(record) => record.sending().await,
            Self::Postgres(record) => record.sending().await,
        }
    }

    async fn end(self, end: End) -> Result<(), SinkUnavailable> {
        match self {
            Self::Sqlite(record) => record.end(end).await,
            Self::Postgres(record) => record.end(end).await,
        }
    }

    fn end_on_drop(self, end: End) {
        match self {
            Self::Sqlite(record) => record.end_on_drop(end),
            Self::Postgres(record) => record.end_on_drop(end),
        }
    }
}
