//! [`Storage`], the audit on one machine or on many.

mod sink;

use std::time::{Duration, SystemTime};

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Entry, Note, SinkUnavailable},
};
use clerk_actor_tokens_postgres::{PostgresError, PostgresStore};
use clerk_actor_tokens_store::{
    Anchor, CallDetail, CallFilter, CallRow, Lease, LeaseFilter, LeaseState, LeaseStore, LeftOver,
    Page, Settings, interrupted,
};
use tokio::sync::watch;

pub use self::sink::{Writer, WriterRecord};
use crate::store::{Store, StoreError};

/// The audit of a gateway, and what follows from it. Clones share it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Storage {
    /// A database on one machine.
    Sqlite(Store),
    /// A database that several gateways share.
    Postgres(PostgresStore),
}

/// Why the storage cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] StoreError),
    /// PostgreSQL failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
}

impl StorageError {
    /// Returns whether a cursor of a filter is not one of a page.
    pub(crate) fn is_cursor(&self) -> bool {
        matches!(
            self,
            Self::Sqlite(StoreError::Cursor) | Self::Postgres(PostgresError::Cursor)
        )
    }
}

/// Does the same with either store.
macro_rules! either {
    ($storage:expr, $store:ident => $done:expr) => {
        match $storage {
            Storage::Sqlite($store) => $done,
            Storage::Postgres($store) => $done,
        }
    };
}

type Result<T> = std::result::Result<T, StorageError>;

impl Storage {
    /// Returns the sink of the audit.
    pub(crate) fn writer(&self) -> Writer {
        match self {
            Self::Sqlite(store) => Writer::Sqlite(store.writer()),
            Self::Postgres(store) => Writer::Postgres(store.writer()),
        }
    }

    /// Records a fact that belongs to no call.
    pub(crate) async fn note(&self, note: Note) -> std::result::Result<(), SinkUnavailable> {
        let entries = vec![Entry::note(note)];
        either!(self, store => store.write(entries).await)
    }

    /// Returns whether an entry could be recorded now.
    pub(crate) async fn is_available(&self) -> bool {
        either!(self, store => store.is_available().await)
    }

    /// Returns a page of calls, the newest first.
    pub(crate) async fn calls(&self, filter: CallFilter) -> Result<Page<CallRow>> {
        Ok(either!(self, store => store.calls(filter).await?))
    }

    /// Returns a call with its entries.
    pub(crate) async fn call(&self, call: CallId) -> Result<Option<CallDetail>> {
        Ok(either!(self, store => store.call(call).await?))
    }

    /// Returns the state of each live lease.
    pub(crate) async fn live_states(&self) -> Result<Vec<LeaseState>> {
        Ok(either!(self, store => store.live_states().await?))
    }

    /// Returns the live leases that this gateway has to end or to watch.
    pub(crate) async fn own_leases(&self) -> Result<Vec<Lease>> {
        match self {
            Self::Sqlite(store) => Ok(store.leases(LeaseFilter::live()).await?),
            Self::Postgres(store) => Ok(store.own_leases().await?),
        }
    }

    /// Returns the live leases of an unknown id that this gateway has to watch.
    pub(crate) async fn unknown_leases(&self) -> Result<Vec<Lease>> {
        match self {
            Self::Sqlite(_) => {
                let mut leases = self.own_leases().await?;
                leases.retain(|lease| lease.actor_token_id.is_none());
                Ok(leases)
            }
            Self::Postgres(store) => Ok(store.unknown_leases().await?),
        }
    }

    /// Returns the settings.
    pub(crate) async fn settings(&self) -> Result<Settings> {
        Ok(either!(self, store => store.settings().await?))
    }

    /// Returns the settings as other gateways change them; `None` while there can be no others.
    pub(crate) fn shared_settings(&self) -> Option<watch::Receiver<Option<Settings>>> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(store) => Some(store.watch_settings()),
        }
    }

    /// Returns how many tokens were minted since a time, or may have been.
    pub(crate) async fn minted_since(&self, since: SystemTime) -> Result<u64> {
        Ok(either!(self, store => store.minted_since(since).await?))
    }

    /// Ends the calls that stopped gateways left open, before the first call. Returns whether there were any.
    pub(crate) async fn end_open_calls(&self, call_timeout: Duration) -> Result<bool> {
        match self {
            Self::Sqlite(store) => {
                let open = store.open_calls().await?;
                let ends = open.iter().map(|call| interrupted(call, call_timeout));
                let written = store.write(ends.collect()).await;
                written.map_err(|error| StoreError::from(BoxError::from(error)))?;
                Ok(!open.is_empty())
            }
            Self::Postgres(store) => Ok(store.sweep().await? > 0),
        }
    }

    /// Returns how many stopped gateways this one inherited. The channel is closed if there can be no others.
    pub(crate) fn inherited(&self) -> watch::Receiver<u64> {
        match self {
            Self::Sqlite(_) => watch::channel(0).1,
            Self::Postgres(store) => store.inherited(),
        }
    }

    /// Returns what stopped gateways left: revokes to be sent again, and tokens that were lost or, with `unused`,
    /// returned.
    pub(crate) async fn left_over(&self, unused: bool) -> Result<LeftOver> {
        Ok(either!(self, store => store.left_over(unused).await?))
    }

    /// Writes an anchor of the newest record.
    pub(crate) async fn anchor(&self) -> Result<Anchor> {
        Ok(either!(self, store => store.anchor().await?))
    }

    /// Keeps the storage in order. It never ends; drop it with the storage.
    pub(crate) async fn maintain(&self) {
        either!(self, store => store.maintain().await);
    }

    /// Ends the storage. Another gateway takes over what is left.
    pub(crate) async fn stop(&self, is_complete: bool) -> Result<()> {
        let Self::Postgres(store) = self else {
            return Ok(());
        };
        let owes_revokes = !store.left_over(false).await?.revokes.is_empty();
        let has_left = owes_revokes || !store.own_leases().await?.is_empty();
        Ok(store.stop(is_complete && !has_left).await?)
    }
}

impl LeaseStore for Storage {
    type Error = StorageError;

    async fn leases(&self, filter: LeaseFilter) -> Result<Vec<Lease>> {
        Ok(either!(self, store => store.leases(filter).await?))
    }

    async fn note(&self, note: Note) -> std::result::Result<(), SinkUnavailable> {
        self.note(note).await
    }
}

impl From<Store> for Storage {
    fn from(store: Store) -> Self {
        Self::Sqlite(store)
    }
}
