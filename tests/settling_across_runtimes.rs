//! Tokens that are lost outside of their runtime are settled.

mod support {
    pub(crate) mod peer;
    pub(crate) mod reports;
}

use std::time::Duration;

use clerk_actor_tokens::{Client, ClientBuilder, SecretKey, layer::settle::SettleEnd};
use futures_util::poll;
use support::{
    peer::{self, Delay, Exchange, Head, Peer},
    reports::Reports,
};
use tokio::runtime::{Builder, Runtime};

const MINUTE: Duration = Duration::from_secs(60);

fn client(exchange: Exchange) -> (Client, Reports) {
    let reports = Reports::default();
    let peer = Peer::new(move |_| exchange.clone());
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer)
        .on_settle(reports.hook())
        .build()
        .unwrap();
    (client, reports)
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// A response that takes several polls.
fn later() -> Exchange {
    Exchange {
        before_head: Delay::polls(5),
        ..Exchange::prompt()
    }
}

#[test]
fn create_dropped_outside_of_a_runtime_is_settled_in_its_own_runtime() {
    let (client, reports) = client(later());
    let own = runtime();
    let mut call = Box::pin(client.send(peer::create()));
    own.block_on(async { assert!(poll!(&mut call).is_pending()) });
    drop(call);
    own.block_on(client.drain(MINUTE));
    assert_eq!(reports.ends(), [SettleEnd::Revoked]);
}

#[test]
fn ticket_dropped_outside_of_a_runtime_is_revoked_in_its_own_runtime() {
    let (client, reports) = client(later());
    let own = runtime();
    let token = own.block_on(client.send(peer::create())).unwrap();
    drop(token);
    own.block_on(client.drain(MINUTE));
    assert_eq!(reports.ends(), [SettleEnd::Revoked]);
}

#[test]
fn ticket_dropped_in_another_runtime_is_revoked_there() {
    let (client, reports) = client(later());
    let (own, other) = (runtime(), runtime());
    let token = own.block_on(client.send(peer::create())).unwrap();
    drop(own);
    other.block_on(async move { drop(token) });
    other.block_on(client.drain(MINUTE));
    assert_eq!(reports.ends(), [SettleEnd::Revoked]);
}

#[test]
fn create_whose_runtime_ends_is_reported() {
    let (client, reports) = client(Exchange {
        head: Head::Hang,
        ..Exchange::prompt()
    });
    let own = runtime();
    let mut call = Box::pin(client.send(peer::create()));
    own.block_on(async { assert!(poll!(&mut call).is_pending()) });
    drop(call);
    drop(own);
    assert_eq!(reports.ends(), [SettleEnd::Unknown]);
}
