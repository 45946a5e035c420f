//! Who calls: how the client of a row is configured, and each of its calls.

use std::{sync::Arc, time::Duration};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, Client, ClientBuilder, CreateActorToken, Error,
    KeySource, RetryConfig, SecretKey,
};
use http::{HeaderMap, HeaderValue, Request};
use tokio::time::Instant;
use tower::util::MapRequestLayer;

use super::{
    run::Run,
    script::{Op, Seen},
    settling::{CALL, Log, Split},
    wire::MakeUp,
};
use crate::search::MARKER;

/// Everything that a caller chooses; by default what a client chooses by itself.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) base_url: String,
    pub(crate) key: fn() -> KeySource,
    pub(crate) call_timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry: RetryConfig,
    /// The id that a revoke is for.
    pub(crate) id: String,
    /// What a layer of the caller's own makes of the headers of every attempt.
    pub(crate) layer: fn(&mut HeaderMap),
    /// When a wire layer of the caller responds by itself.
    pub(crate) make_up: MakeUp,
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1".into(),
            key: || key().into(),
            call_timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            retry: RetryConfig::default(),
            id: "act_1".into(),
            layer: |_| (),
            make_up: MakeUp::Never,
        }
    }
}

pub(crate) fn key() -> SecretKey {
    SecretKey::new(format!("sk_test_{MARKER}")).unwrap()
}

impl Caller {
    pub(crate) fn client(&self, transport: Split) -> Client {
        let layer = self.layer;
        let log = Arc::clone(transport.log());
        ClientBuilder::over((self.key)(), transport)
            .base_url(self.base_url.as_str())
            .call_timeout(self.call_timeout)
            .attempt_timeout(self.attempt_timeout)
            .retry(self.retry.clone())
            .on_settle(move |event| log.note(event))
            .wire_layer(MapRequestLayer::new(move |mut request: Request<_>| {
                layer(request.headers_mut());
                request
            }))
            .wire_layer(self.make_up.layer())
            .build()
            .unwrap()
    }

    /// Makes the call with this number.
    pub(crate) async fn call(
        &self,
        client: &Client,
        op: Op,
        number: usize,
    ) -> Result<ActorToken, Error> {
        let request = match op {
            // The body is as secret as the key.
            Op::Create => {
                let actor = Actor::new("user_2").claim("reason", MARKER);
                CreateActorToken::new("user_1", actor).into()
            }
            Op::Revoke => ActorTokenRequest::revoke(self.id.parse().unwrap()),
        };
        let number = HeaderValue::from(number);
        let token = client.send(request.header(CALL, number)).await?;
        if let Some(ticket) = token.ticket() {
            ticket.claim();
        }
        Ok(token)
    }

    /// Makes one call of a client of its own.
    pub(crate) async fn run(
        &self,
        op: Op,
        (transport, log): (Split, Arc<Log>),
        seen: Arc<Seen>,
    ) -> Run {
        let client = self.client(transport);
        let begun = Instant::now();
        let results = vec![self.call(&client, op, 0).await];
        let took = begun.elapsed();
        // Where time is real, nobody waits for what a peer keeps hanging.
        client.drain(Duration::from_millis(50)).await;
        Run {
            op,
            results,
            took,
            deadline: self.call_timeout,
            seen,
            log,
        }
    }
}
