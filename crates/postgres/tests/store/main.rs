//! The store shows what follows from the entries of all instances, notices when a record was altered, and deletes old
//! ones.

#[path = "../../../store/tests/engines/mod.rs"]
mod engines;
mod export;
mod left_over;
mod prune;
mod restart;
#[path = "../support/mod.rs"]
mod support;
mod verify;

use std::{cell::Cell, time::Duration};

use clerk_actor_tokens_policy::audit::Entry;
use clerk_actor_tokens_postgres::PostgresStore;
use support::{Server, entries};

/// Whether several processes share the store.
const IS_SHARED: bool = true;

/// Two instances.
struct Setup {
    server: Server,
    store: PostgresStore,
    other: PostgresStore,
    /// Whether the other one writes next.
    is_others_turn: Cell<bool>,
}

impl Setup {
    async fn open(session_lifetime: Option<Duration>) -> Self {
        let server = Server::start();
        let connect = async || {
            let config = server.config();
            let config = match session_lifetime {
                Some(lifetime) => config.session_lifetime(lifetime),
                None => config,
            };
            config.connect().await.unwrap()
        };
        Self {
            store: connect().await,
            other: connect().await,
            server,
            is_others_turn: Cell::new(false),
        }
    }

    async fn write(&self, entries: impl Into<Vec<Entry>>) {
        let is_others_turn = self.is_others_turn.get();
        self.is_others_turn.set(!is_others_turn);
        let store = match is_others_turn {
            true => &self.other,
            false => &self.store,
        };
        store.write(entries.into()).await.unwrap();
    }

    async fn empty(&mut self) {
        let empty = "TRUNCATE records, calls, settings; UPDATE instances SET
            seq = 0, hash = sha256(convert_to(instance, 'UTF8'))";
        self.server
            .admin()
            .await
            .0
            .batch_execute(empty)
            .await
            .unwrap();
    }

    async fn verify(&self) -> u64 {
        let verified = clerk_actor_tokens_postgres::verify(self.server.config(), None).await;
        verified.unwrap().iter().map(|it| it.records).sum()
    }
}
