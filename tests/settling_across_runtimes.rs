//! What is lost in one runtime, or in none, is settled in another.

mod support {
    pub(crate) mod peer;
}

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
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

/// Waits on this thread, without a runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, cx) = (Box::pin(future), &mut Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// An answer that is not there at once.
fn later() -> Exchange {
    Exchange {
        before_head: Pause::polls(5),
        ..Exchange::prompt()
    }
}

#[test]
fn a_create_that_is_lost_where_there_are_no_timers_is_followed_where_it_began() {
    let (client, ends) = client(later());
    let (own, without_timers) = (runtime(), Builder::new_current_thread().build().unwrap());
    let mut call = Box::pin(client.send(create()));
    own.block_on(async { assert!(poll!(&mut call).is_pending()) });
    without_timers.block_on(async move { drop(call) });
    own.block_on(client.drain(AMPLE));
    assert_eq!(*ends.lock().unwrap(), [SettleEnd::Revoked]);
}

#[test]
fn a_ticket_that_is_dropped_where_there_are_no_timers_is_revoked_where_it_was_minted() {
    let (client, ends) = client(later());
    let (own, without_timers) = (runtime(), Builder::new_current_thread().build().unwrap());
    let token = own.block_on(client.send(create())).unwrap();
    without_timers.block_on(async move { drop(token) });
    own.block_on(client.drain(AMPLE));
    assert_eq!(*ends.lock().unwrap(), [SettleEnd::Revoked]);
}

#[test]
fn draining_outside_of_a_runtime_waits() {
    let (client, ends) = client(later());
    let own = runtime();
    own.block_on(async {
        let mut call = Box::pin(client.send(create()));
        assert!(poll!(&mut call).is_pending());
    });
    let mut draining = Box::pin(client.drain(AMPLE));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(draining.as_mut().poll(cx).is_pending());
    let report = own.block_on(draining);
    assert!(report.is_complete());
    assert_eq!(*ends.lock().unwrap(), [SettleEnd::Revoked]);
}

#[test]
fn draining_outside_of_a_runtime_ends_at_its_deadline() {
    let (client, ends) = client(Exchange {
        head: Head::Hang,
        ..Exchange::prompt()
    });
    let own = runtime();
    own.block_on(async {
        let mut call = Box::pin(client.send(create()));
        assert!(poll!(&mut call).is_pending());
    });
    // Nobody drives the runtime, so what is cut short has no occasion to notice.
    let report = block_on(client.drain(Duration::ZERO));
    assert_eq!((report.cut_short(), report.counts().total()), (1, 0));
    drop(own);
    assert_eq!(*ends.lock().unwrap(), [SettleEnd::Unknown]);
}
