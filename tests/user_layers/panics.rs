//! Panics of the transport and of subscribers.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use clerk_actor_tokens::{BoxError, ClientBuilder, Outcome};
use futures_util::FutureExt;
use tower::util::MapFutureLayer;
use tracing::{Metadata, Subscriber, span};

use crate::{
    LONG, create, key, prompt,
    support::peer::{Exchange, Head, Peer},
};

#[tokio::test(start_paused = true)]
async fn attempt_that_panicked_is_reported_and_not_followed() {
    async fn caught<T>(call: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
        let result = AssertUnwindSafe(call).catch_unwind().await;
        result.unwrap_or_else(|_| Err("it panicked".into()))
    }
    let peer = Peer::new(|_| Exchange {
        head: Head::Panic,
        ..Exchange::prompt()
    });
    let client = ClientBuilder::over(key(), peer)
        .call_layer(MapFutureLayer::new(caught))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(!error.is_settling());
    assert_eq!(client.settle_counts().unknown, 1);
}

/// A subscriber that panics at the span of a settling task.
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
async fn dropped_token_is_revoked_without_a_panic_when_a_subscriber_panics() {
    let client = ClientBuilder::over(key(), prompt()).build().unwrap();
    let token = client.send(create()).await.unwrap();
    let dropped = {
        let _guard = tracing::subscriber::set_default(Panicking);
        catch_unwind(AssertUnwindSafe(|| drop(token)))
    };
    assert!(dropped.is_ok());
    assert_eq!(client.drain(LONG).await.counts().revoked, 1);
}
