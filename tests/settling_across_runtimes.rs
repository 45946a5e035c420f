//! Tokens that are lost outside of their runtime are settled.

mod support {
    pub(crate) mod peer;
}

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Client, ClientBuilder, CreateActorToken, SecretKey,
    layer::settle::SettleEnd,
};
use futures_util::poll;
use support::peer::{CallNumber, Exchange, Head, Pause, Peer, USER};
use tokio::runtime::{Builder, Runtime};

const AMPLE: Duration = Duration::from_secs(60);

fn client(exchange: Exchange) -> (Client, Arc<Mutex<Vec<SettleEnd>>>) {
    let ends = Arc::<Mutex<Vec<_>>>::default();
    let hook = Arc::clone(&ends);
    let peer = Peer::new(move |_| exchange.clone());
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer)
        .on_settle(move |event| hook.lock().unwrap().push(event.end()))
        .build()
        .unwrap();
    (client, ends)
}

fn create() -> ActorTokenRequest {
    let create = CreateActorToken::new(USER, Actor::new("user_admin"));
    let mut request = ActorTokenRequest::create(create);
    request.extensions_mut().insert(CallNumber(0));
    request
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// A response that takes a while.
fn later() -> Exchange {
    Exchange {
        before_head: Pause::polls(5),
        ..Exchange::prompt()
    }
}

#[test]
fn create_that_is_dropped_outside_of_a_runtime_is_followed_where_it_began() {
    let (client, ends) = client(later());
    let own = runtime();
    let mut call = Box::pin(client.send(create()));
    own.block_on(async { assert!(poll!(&mut call).is_pending()) });
    drop(call);
    own.block_on(client.drain(AMPLE));
    assert_eq!(*ends.lock().unwrap(), [SettleEnd::Revoked]);
}

#[test]
fn ticket_that_is_dropped_outside_of_a_runtime_is_revoked_where_it_was_minted() {
    let (client, ends) = client(later());
    let own = runtime();
    let token = own.block_on(client.send(create())).unwrap();
    drop(token);
    own.block_on(client.drain(AMPLE));
    assert_eq!(*ends.lock().unwrap(), [SettleEnd::Revoked]);
}

#[test]
fn ticket_that_is_dropped_in_another_runtime_is_revoked_there() {
    let (client, ends) = client(later());
    let (own, other) = (runtime(), runtime());
    let token = own.block_on(client.send(create())).unwrap();
    drop(own);
    other.block_on(async move { drop(token) });
    other.block_on(client.drain(AMPLE));
    assert_eq!(*ends.lock().unwrap(), [SettleEnd::Revoked]);
}

#[test]
fn create_whose_runtime_ends_is_reported() {
    let (client, ends) = client(Exchange {
        head: Head::Hang,
        ..Exchange::prompt()
    });
    let own = runtime();
    let mut call = Box::pin(client.send(create()));
    own.block_on(async { assert!(poll!(&mut call).is_pending()) });
    drop(call);
    drop(own);
    assert_eq!(*ends.lock().unwrap(), [SettleEnd::Unknown]);
}
