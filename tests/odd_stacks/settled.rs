//! Each token that nobody gets is settled, and once; one that was returned is left alone.

use std::{
    future::{Future, ready},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Body, BoxError, ClientBuilder, OperationKind, RetryConfig,
    layer::{CollectBodyLayer, DecodeErrorLayer, RetryLayer, TimeoutLayer},
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{
    Layer, ServiceExt,
    util::{AndThenLayer, MapFutureLayer, MapRequestLayer},
};
use tracing::{Metadata, Subscriber, span};

use crate::{
    AMPLE, OnceMore, SECOND, Settling, TOKEN, assert_returned, calls, connecting_late, create,
    hedged, key, prompt, revoked, spawned,
    support::{
        answer::answer,
        peer::{End, Exchange, Peer},
        scripted::Scripted,
    },
    taken,
};

/// What one place of a stack was sent, and is kept, as a log does.
type Kept = Arc<Mutex<Vec<Request<Body>>>>;

fn keeping(
    kept: &Kept,
) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone + use<>> {
    let kept = Arc::clone(kept);
    MapRequestLayer::new(move |request: Request<Body>| {
        kept.lock().unwrap().push(request.clone());
        request
    })
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_returned_is_not_revoked_for_a_second_answer_that_told_it_too() {
    // As of a gateway that answers a repeated create with the token of the first.
    let gateway = Scripted::new([(); 2].map(|()| answer(200, &[], TOKEN)));
    let settling = Settling::new();
    let both = hedged(settling.over(gateway.clone()), async |one, other| {
        tokio::join!(one, other).0
    });
    let token = calls(both).oneshot(create()).await.unwrap();
    assert_returned(&token);
    assert_eq!(settling.told().await, []);
    assert_eq!(gateway.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_its_call_ended_is_revoked_though_the_request_is_kept() {
    let (kept, settling) = (Kept::default(), Settling::new());
    let late = hedged(settling.over(prompt()), async |one, other| {
        tokio::spawn(async {
            tokio::time::sleep(SECOND).await;
            other.await
        });
        one.await
    });
    let token = calls(keeping(&kept).layer(late)).oneshot(create()).await;
    let token = token.unwrap();
    assert_returned(&token);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(token.id().as_str(), "act_0");
    assert_eq!(settling.told().await, [revoked("act_1")]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_call_is_dropped_is_revoked_though_the_request_is_kept() {
    /// Looks at the answer before it passes it on.
    async fn slow<F: Future>(answer: F) -> F::Output {
        let answer = answer.await;
        tokio::time::sleep(AMPLE).await;
        answer
    }
    let (kept, settling) = (Kept::default(), Settling::new());
    let slow = MapFutureLayer::new(slow).layer(settling.over(prompt()));
    let call = calls(keeping(&kept).layer(slow)).oneshot(create());
    tokio::time::timeout(SECOND, call).await.unwrap_err();
    assert_eq!(settling.told().await, [revoked("act_0")]);
    assert_eq!(kept.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_turned_down_is_revoked_though_its_request_keeps_itself() {
    let keeping_itself = MapRequestLayer::new(|mut request: Request<Body>| {
        let original = request.body().clone();
        request.extensions_mut().insert(original);
        request
    });
    let turned_down = AndThenLayer::new(|_: Response<Full<Bytes>>| {
        ready(Err::<Response<Full<Bytes>>, BoxError>("not liked".into()))
    });
    let settling = Settling::new();
    let settled = keeping_itself.layer(settling.over(prompt()));
    let call = calls(turned_down.layer(settled)).oneshot(create());
    call.await.unwrap_err();
    assert_eq!(settling.told().await, [revoked("act_0")]);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_read_is_revoked_though_its_create_was_sent_before() {
    let peer = Peer::new(|asked| match (asked.kind, asked.before) {
        (OperationKind::Create, 0) => Exchange::refusal(429, None),
        (OperationKind::Create, _) => Exchange {
            end: End::Hang,
            ..Exchange::prompt()
        },
        _ => Exchange::prompt(),
    });
    let over = peer.clone();
    let transport = tower::service_fn(move |request: Request<Body>| {
        let peer = over.clone();
        async move {
            let answer = peer.clone().oneshot(request.clone()).await?;
            if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                return peer.oneshot(request).await;
            }
            Ok(answer)
        }
    });
    let settling = Settling::new();
    let client = ClientBuilder::over(key(), transport)
        .attempt_timeout(SECOND)
        .settle(settling.layer.clone())
        .build()
        .unwrap();
    client.send(create()).await.unwrap_err();
    // Of the exchange before, which the layers did not see, nothing is known.
    let told = settling.told().await;
    assert!(told.contains(&revoked("act_1")), "{told:?}");
    assert!(peer.ledger().is_revoked("act_1"));
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_below_settling_spawned_mints_nothing_unseen_after_its_attempt() {
    for retry in [RetryConfig::disabled(), RetryConfig::default()] {
        let (peer, settling) = (prompt(), Settling::new());
        let wire = connecting_late(&peer, 5 * SECOND);
        let wire = CollectBodyLayer::default().layer(wire);
        let wire = OnceMore::layer(|_| true).layer(wire);
        let wire = MapFutureLayer::new(spawned).layer(wire);
        let settled = TimeoutLayer::new(SECOND).layer(settling.layer.layer(wire));
        let attempts = DecodeErrorLayer::new().layer(settled);
        let attempts = RetryLayer::new(retry).layer(attempts);
        let token = calls(attempts).oneshot(create()).await;
        token.iter().for_each(assert_returned);
        tokio::time::sleep(AMPLE).await;
        let told = settling.told().await;
        let returned = token.iter().count();
        assert!(taken(&peer) <= returned + told.len(), "{token:?} {told:?}");
    }
}

/// A subscriber that fails at the span of a settling task.
struct Panicking;

impl Subscriber for Panicking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.name() == "settle"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        resume_unwind(Box::new("the subscriber"))
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_token_is_dropped_without_a_panic_and_revoked_whatever_a_subscriber_does() {
    let client = ClientBuilder::over(key(), prompt()).build().unwrap();
    let token = client.send(create()).await.unwrap();
    let dropped = {
        let _guard = tracing::subscriber::set_default(Panicking);
        catch_unwind(AssertUnwindSafe(|| drop(token)))
    };
    assert!(dropped.is_ok());
    assert_eq!(client.drain(AMPLE).await.counts().revoked, 1);
}
