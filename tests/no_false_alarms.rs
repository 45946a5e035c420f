//! What is reported is worth an alarm: no report where provably nothing was minted, and none that
//! says less than is known.

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
use support::peer::{CallNumber, Content, End, Exchange, Pause, Peer, USER};

/// A client whose creates come to `exchange`, and what it reports.
fn client(exchange: Exchange) -> (Client, Arc<Mutex<Vec<SettleEnd>>>) {
    let reports = Arc::<Mutex<Vec<_>>>::default();
    let hook = Arc::clone(&reports);
    let peer = Peer::new(move |_| exchange.clone());
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer)
        .on_settle(move |event| hook.lock().unwrap().push(event.end()))
        .build()
        .unwrap();
    (client, reports)
}

/// Drops a create while the head of its answer is under way, and drains.
async fn drop_one_and_drain(client: &Client, limit: Duration) {
    let mut request =
        ActorTokenRequest::create(CreateActorToken::new(USER, Actor::new("user_admin")));
    request.extensions_mut().insert(CallNumber(0));
    let mut call = Box::pin(client.send(request));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    client.drain(limit).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_known_by_its_head_though_its_body_never_ends() {
    // Longer than it is followed, and cut short by draining.
    for limit in [Duration::from_secs(60), Duration::from_secs(5)] {
        let (client, reports) = client(Exchange {
            before_head: Pause::time(Duration::from_secs(1)),
            end: End::Hang,
            ..Exchange::refusal(429, None)
        });
        drop_one_and_drain(&client, limit).await;
        assert_eq!(*reports.lock().unwrap(), [], "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_token_of_another_user_is_reported_as_such_though_draining_was_cut_short() {
    let (client, reports) = client(Exchange {
        before_head: Pause::time(Duration::from_secs(1)),
        content: Content::Foreign,
        end: End::Hang,
        ..Exchange::prompt()
    });
    drop_one_and_drain(&client, Duration::from_secs(5)).await;
    assert_eq!(*reports.lock().unwrap(), [SettleEnd::Foreign]);
}
