//! The client of a row, and its calls.

use std::{sync::Arc, time::Duration};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, Client, ClientBuilder, CreateActorToken, Error,
    KeySource, RetryConfig, SecretKey,
};
use http::{HeaderMap, HeaderValue, Request};
use tokio::time::Instant;
use tower::util::MapRequestLayer;

use super::{
    interceptor::Intercept,
    run::Run,
    script::{Op, Seen},
    split::{CALL, Log, Split},
};
use crate::search::MARKER;

/// The settings of a client and the layers of its caller. The defaults are those of a client.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) base_url: String,
    pub(crate) key: fn() -> KeySource,
    pub(crate) call_timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry: RetryConfig,
    /// The token of a revoke.
    pub(crate) id: String,
    /// A wire layer of the caller that changes the headers of each attempt.
    pub(crate) layer: fn(&mut HeaderMap),
    /// A wire layer of the caller that may respond instead of the transport.
    pub(crate) intercept: Intercept,
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
            intercept: Intercept::Never,
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
            .wire_layer(self.intercept.layer())
            .build()
            .unwrap()
    }

    /// Makes a call with this number.
    pub(crate) async fn call(
        &self,
        client: &Client,
        op: Op,
        number: usize,
    ) -> Result<ActorToken, Error> {
        let request = match op {
            // The body holds a secret, like the key.
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

    /// Builds a client and makes one call.
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
        // Short, because the clock is real in some rows and the peer may hang.
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
