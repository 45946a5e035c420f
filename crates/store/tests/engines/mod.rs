//! Tests that the store of every engine passes. The tests of each engine include this folder.
//!
//! The root of the tests has `entries`, and a `Setup`: an empty store as `store`, whose instances `write` in turn. Its
//! `open` takes the lifetime of a session, `verify` returns how many records there are, and `empty` removes all of them.
//! `IS_SHARED` says whether several processes share the store.

pub(crate) mod model;
mod projections;
mod reads;

use clerk_actor_tokens_store::{Lease, LeaseFilter, LeaseState};

use crate::{Setup, entries::Call};

impl Setup {
    pub(crate) async fn leases(&self, filter: LeaseFilter) -> Vec<Lease> {
        self.store.leases(filter).await.unwrap()
    }

    /// Returns the lease of a call, if there is one.
    pub(crate) async fn lease_of(&self, call: Call) -> Option<Lease> {
        let filter = LeaseFilter {
            call: Some(call.0),
            ..LeaseFilter::default()
        };
        self.leases(filter).await.pop()
    }

    /// Returns the only lease, if there is one.
    pub(crate) async fn lease(&self) -> Option<Lease> {
        let mut leases = self.leases(LeaseFilter::default()).await;
        assert!(leases.len() < 2, "{leases:?}");
        leases.pop()
    }

    pub(crate) async fn state(&self) -> Option<LeaseState> {
        self.lease().await.map(|lease| lease.state)
    }
}
