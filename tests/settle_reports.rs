//! Settling reports a create only if it may have minted a token, and with all that is known about it.

mod support {
    pub(crate) mod peer;
    pub(crate) mod reports;
}

use std::{
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use clerk_actor_tokens::{
    Body, Client, ClientBuilder, Error, OperationKind, SecretKey,
    layer::{
        CollectBodyLayer, DecodeErrorLayer, JsonLayer, SettleLayer, TypedErrorLayer,
        settle::{SettleCounts, SettleEnd},
    },
};
use futures_util::{FutureExt, poll};
use http::{Request, StatusCode};
use support::{
    peer::{Content, Delay, End, Exchange, Head, Peer, create},
    reports::Reports,
};
use tower::{Layer, ServiceExt, util::MapRequestLayer};

fn client(peer: Peer) -> (Client, Reports) {
    let reports = Reports::default();
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer)
        .on_settle(reports.hook())
        .build()
        .unwrap();
    (client, reports)
}

/// Drops a create before its response arrives, then drains.
async fn drop_one_and_drain(client: &Client, limit: Duration) {
    let mut call = Box::pin(client.send(create()));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    client.drain(limit).await;
}

#[tokio::test(start_paused = true)]
async fn refused_create_is_not_reported_when_its_body_never_ends() {
    // Longer than the grace period, and cut short.
    for limit in [Duration::from_secs(60), Duration::from_secs(5)] {
        let (client, reports) = client(Peer::new(|_| Exchange {
            before_head: Delay::time(Duration::from_secs(1)),
            end: End::Hang,
            ..Exchange::refusal(429, None)
        }));
        drop_one_and_drain(&client, limit).await;
        assert_eq!(reports.ends(), [], "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn token_of_another_user_is_reported_as_foreign_when_drain_is_cut_short() {
    let (client, reports) = client(Peer::new(|_| Exchange {
        before_head: Delay::time(Duration::from_secs(1)),
        content: Content::Foreign,
        end: End::Hang,
        ..Exchange::prompt()
    }));
    drop_one_and_drain(&client, Duration::from_secs(5)).await;
    assert_eq!(reports.ends(), [SettleEnd::Foreign, SettleEnd::Unknown]);
}

#[tokio::test(start_paused = true)]
async fn response_received_before_a_transport_panic_is_settled() {
    let panics = |exchange| Exchange {
        before_head: Delay::time(Duration::from_secs(1)),
        end: End::Panic,
        ..exchange
    };
    for (exchange, ends) in [
        (panics(Exchange::prompt()), vec![SettleEnd::Revoked]),
        (panics(Exchange::refusal(429, None)), vec![]),
    ] {
        let peer = {
            let exchange = exchange.clone();
            Peer::new(move |received| match received.kind {
                OperationKind::Create => exchange.clone(),
                _ => Exchange::prompt(),
            })
        };
        let (client, reports) = client(peer.clone());
        drop_one_and_drain(&client, Duration::from_secs(60)).await;
        assert_eq!(reports.ends(), ends, "{exchange:?}");
        // The same while the caller waits.
        let call = AssertUnwindSafe(client.send(create()));
        assert!(call.catch_unwind().await.is_err());
        client.drain(Duration::from_secs(60)).await;
        assert_eq!(reports.ends(), ends.repeat(2), "{exchange:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn create_is_not_reported_when_a_layer_panics_before_it_is_sent() {
    let reports = Reports::default();
    let peer = Peer::new(|_| Exchange::prompt());
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer.clone())
        .wire_layer(MapRequestLayer::new(|_: Request<Body>| -> Request<Body> {
            resume_unwind(Box::new("a layer"))
        }))
        .on_settle(reports.hook())
        .build()
        .unwrap();
    let call = AssertUnwindSafe(client.send(create()));
    assert!(call.catch_unwind().await.is_err());
    let report = client.drain(Duration::ZERO).await;
    assert!(report.is_complete() && reports.ends().is_empty());
    assert!(peer.ledger().creates.is_empty());
}

#[test]
fn report_uses_the_response_received_before_the_runtime_ended() {
    for (exchange, expected) in [
        (
            Exchange::prompt(),
            vec![(SettleEnd::NotRevoked, Some("act_0".to_owned()))],
        ),
        (Exchange::refusal(429, None), vec![]),
    ] {
        let (client, reports) = client(Peer::new(move |_| Exchange {
            before_head: Delay::time(Duration::from_secs(1)),
            end: End::Hang,
            ..exchange.clone()
        }));
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut call = Box::pin(client.send(create()));
            assert!(poll!(&mut call).is_pending());
            drop(call);
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        drop(runtime);
        assert_eq!(reports.ends_with_ids(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn token_is_revoked_when_the_exchange_panics_in_drop() {
    struct PanicOnDrop<F>(F);

    impl<F: Future + Unpin> Future for PanicOnDrop<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            Pin::new(&mut self.0).poll(cx)
        }
    }

    impl<F> Drop for PanicOnDrop<F> {
        fn drop(&mut self) {
            resume_unwind(Box::new("a destructor"))
        }
    }

    let reports = Reports::default();
    let settle = SettleLayer::new().on_settle(reports.hook());
    let peer = Peer::new(|received| match received.kind {
        OperationKind::Create => Exchange {
            before_head: Delay::time(Duration::from_secs(1)),
            ..Exchange::prompt()
        },
        _ => Exchange::prompt(),
    });
    let collected = CollectBodyLayer::default().layer(peer);
    let panicking = tower::service_fn(move |request: Request<Body>| {
        let panics = request.body().kind() == OperationKind::Create;
        let inner = Box::pin(collected.clone().oneshot(request));
        let future: Pin<Box<dyn Future<Output = _> + Send>> = if panics {
            Box::pin(PanicOnDrop(inner))
        } else {
            inner
        };
        future
    });
    let attempts = DecodeErrorLayer::new().layer(settle.layer(panicking));
    let stack = JsonLayer::new().layer(attempts);
    let mut call = Box::pin(TypedErrorLayer::new().layer(stack).oneshot(create()));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    settle.drain(Duration::from_secs(60)).await;
    assert_eq!(reports.ends(), [SettleEnd::Revoked]);
}

/// Returns a peer whose creates hang like this and whose revokes succeed.
fn hanging(create: Exchange) -> Peer {
    let create = Exchange {
        end: End::Hang,
        ..create
    };
    Peer::new(move |received| match received.kind {
        OperationKind::Create => create.clone(),
        _ => Exchange::prompt(),
    })
}

#[tokio::test(start_paused = true)]
async fn token_of_another_user_is_not_revoked_when_the_call_that_received_it_is_dropped() {
    let peer = hanging(Exchange {
        content: Content::Foreign,
        ..Exchange::prompt()
    });
    let (client, reports) = client(peer.clone());
    drop_one_and_drain(&client, Duration::from_secs(60)).await;
    assert_eq!(reports.ends(), [SettleEnd::Foreign, SettleEnd::Unknown]);
    assert!(peer.ledger().revokes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn token_that_was_received_is_reported_when_drain_is_cut_short() {
    let peer = hanging(Exchange {
        before_head: Delay::time(Duration::from_secs(1)),
        ..Exchange::prompt()
    });
    let (client, reports) = client(peer.clone());
    let mut call = Box::pin(client.send(create()));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    let report = client.drain(Duration::from_secs(5)).await;
    assert_eq!((report.cut_short(), report.in_flight()), (1, 0));
    assert!(!report.is_complete());
    client.drain(Duration::from_secs(60)).await;
    let id = Some("act_0".to_owned());
    assert_eq!(reports.ends_with_ids(), [(SettleEnd::NotRevoked, id)]);
    assert!(peer.ledger().revokes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn drain_with_a_create_in_flight_is_not_complete() {
    let (client, _) = client(hanging(Exchange::prompt()));
    let mut call = Box::pin(client.send(create()));
    assert!(poll!(&mut call).is_pending());
    let report = client.drain(Duration::from_secs(5)).await;
    assert_eq!((report.cut_short(), report.in_flight()), (0, 1));
    assert!(!report.is_complete());
}

#[tokio::test(start_paused = true)]
async fn token_of_a_dropped_call_is_revoked_even_if_unread_ones_are_not() {
    let peer = hanging(Exchange::prompt());
    let settle = SettleLayer::new().revoke_unread(false);
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer.clone())
        .settle(settle.clone())
        .build()
        .unwrap();
    drop_one_and_drain(&client, Duration::from_secs(60)).await;
    assert_eq!(settle.counts().revoked, 1);
    assert!(peer.ledger().is_revoked("act_0"));
}

#[tokio::test(start_paused = true)]
async fn lost_create_is_followed_for_the_grace_period() {
    let peer = Peer::new(|_| Exchange {
        head: Head::Hang,
        ..Exchange::prompt()
    });
    let settle = SettleLayer::new().grace(Duration::from_secs(5));
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer)
        .settle(settle.clone())
        .build()
        .unwrap();
    let mut call = Box::pin(client.send(create()));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    for (seconds, unknown) in [(4, 0), (2, 1)] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        assert_eq!(settle.counts().unknown, unknown);
    }
}

#[tokio::test(start_paused = true)]
async fn report_of_a_revoke_that_failed_has_its_error() {
    let peer = Peer::new(|received| match received.kind {
        OperationKind::Create => Exchange::prompt(),
        _ => Exchange::refusal(404, None),
    });
    let statuses = Arc::<Mutex<Vec<_>>>::default();
    let seen = Arc::clone(&statuses);
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), peer)
        .on_settle(move |event| {
            let status = event.error().and_then(Error::status);
            seen.lock().unwrap().push((event.end(), status));
        })
        .build()
        .unwrap();
    drop(client.send(create()).await.unwrap());
    client.drain(Duration::from_secs(60)).await;
    let expected = (SettleEnd::NotRevoked, Some(StatusCode::NOT_FOUND));
    assert_eq!(*statuses.lock().unwrap(), [expected]);
}

#[test]
fn total_of_the_counts_is_their_sum() {
    let mut counts = SettleCounts::default();
    (counts.revoked, counts.accepted, counts.not_revoked) = (1, 2, 4);
    (counts.unknown, counts.foreign) = (8, 16);
    assert_eq!(counts.total(), 31);
}
