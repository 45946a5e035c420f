//! What is reported is worth an alarm: no report where provably nothing was minted, and none that
//! says less than is known.

mod support {
    pub(crate) mod peer;
}

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, Client, ClientBuilder, CreateActorToken, Intent, SecretKey,
    layer::settle::SettleEnd,
};
use futures_util::{FutureExt, poll};
use http::Request;
use support::peer::{CallNumber, Content, End, Exchange, Pause, Peer, USER};
use tower::util::MapRequestLayer;

/// A client of a peer, and what it reports.
fn client(peer: Peer) -> (Client, Arc<Mutex<Vec<SettleEnd>>>) {
    let reports = Arc::<Mutex<Vec<_>>>::default();
    let hook = Arc::clone(&reports);
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer)
        .on_settle(move |event| hook.lock().unwrap().push(event.end()))
        .build()
        .unwrap();
    (client, reports)
}

fn create() -> ActorTokenRequest {
    let create = CreateActorToken::new(USER, Actor::new("user_admin"));
    let mut request = ActorTokenRequest::create(create);
    request.extensions_mut().insert(CallNumber(0));
    request
}

/// Drops a create while the head of its answer is under way, and drains.
async fn drop_one_and_drain(client: &Client, limit: Duration) {
    let mut call = Box::pin(client.send(create()));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    client.drain(limit).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_known_by_its_head_though_its_body_never_ends() {
    // Longer than it is followed, and cut short by draining.
    for limit in [Duration::from_secs(60), Duration::from_secs(5)] {
        let (client, reports) = client(Peer::new(|_| Exchange {
            before_head: Pause::time(Duration::from_secs(1)),
            end: End::Hang,
            ..Exchange::refusal(429, None)
        }));
        drop_one_and_drain(&client, limit).await;
        assert_eq!(*reports.lock().unwrap(), [], "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_token_of_another_user_is_reported_as_such_though_draining_was_cut_short() {
    let (client, reports) = client(Peer::new(|_| Exchange {
        before_head: Pause::time(Duration::from_secs(1)),
        content: Content::Foreign,
        end: End::Hang,
        ..Exchange::prompt()
    }));
    drop_one_and_drain(&client, Duration::from_secs(5)).await;
    assert_eq!(*reports.lock().unwrap(), [SettleEnd::Foreign]);
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_transport_panicked_is_made_use_of() {
    let panics = |exchange| Exchange {
        before_head: Pause::time(Duration::from_secs(1)),
        end: End::Panic,
        ..exchange
    };
    for (exchange, ends) in [
        (panics(Exchange::prompt()), vec![SettleEnd::Revoked]),
        (panics(Exchange::refusal(429, None)), vec![]),
    ] {
        let peer = {
            let exchange = exchange.clone();
            Peer::new(move |asked| match asked.intent {
                Intent::Create => exchange.clone(),
                _ => Exchange::prompt(),
            })
        };
        // In the background, and where the caller waits for it.
        let (client, reports) = client(peer.clone());
        drop_one_and_drain(&client, Duration::from_secs(60)).await;
        assert_eq!(*reports.lock().unwrap(), ends, "{exchange:?}");
        let call = AssertUnwindSafe(client.send(create()));
        assert!(call.catch_unwind().await.is_err());
        client.drain(Duration::from_secs(60)).await;
        assert_eq!(*reports.lock().unwrap(), ends.repeat(2), "{exchange:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_panics_before_anything_is_sent_mints_nothing() {
    let reports = Arc::<Mutex<Vec<_>>>::default();
    let hook = Arc::clone(&reports);
    let peer = Peer::new(|_| Exchange::prompt());
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer.clone())
        .attempt_layer(MapRequestLayer::new(|_: Request<Body>| -> Request<Body> {
            resume_unwind(Box::new("a layer"))
        }))
        .on_settle(move |event| hook.lock().unwrap().push(event.end()))
        .build()
        .unwrap();
    let call = AssertUnwindSafe(client.send(create()));
    assert!(call.catch_unwind().await.is_err());
    let report = client.drain(Duration::ZERO).await;
    assert!(report.is_complete() && reports.lock().unwrap().is_empty());
    assert!(peer.ledger().creates.is_empty());
}
