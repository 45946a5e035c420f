//! The same create, written by hand on hyper-util's client: build, send, collect and decode, under one
//! timeout.

use std::time::Duration;

use bytes::Bytes;
use clerk_actor_tokens::{BaseUrl, BoxError, SecretKey};
use http::{
    HeaderValue, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    args::Args,
    books::{Books, Create},
    callers::Caller,
};

#[derive(Clone)]
pub(crate) struct Baseline {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: String,
    authorization: HeaderValue,
    life: Duration,
}

#[derive(Deserialize)]
pub(crate) struct Token {
    id: String,
    url: String,
}

impl Caller for Baseline {
    type Token = Token;

    fn new(base_url: &BaseUrl, key: SecretKey, args: &Args, _: &Books) -> Result<Self, BoxError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self {
            client,
            uri: format!("{base_url}/actor_tokens"),
            authorization: format!("Bearer {}", key.expose()).parse()?,
            life: args.life,
        })
    }

    async fn create(&self, create: Create, limit: Duration) -> Result<Token, BoxError> {
        let body = json!({
            "user_id": create.user_id(),
            "actor": {"sub": "user_admin"},
            "expires_in_seconds": self.life.as_secs(),
        });
        let request = Request::post(&self.uri)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_string()))?;
        let exchange = async {
            let response = self.client.request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            if status != StatusCode::OK {
                return Err(format!("the response has the status {status}").into());
            }
            Ok(serde_json::from_slice(&body)?)
        };
        timeout(limit, exchange).await?
    }

    /// No error does.
    fn rules_out(_: &BoxError) -> bool {
        false
    }

    fn read(token: Token) -> String {
        assert!(!token.url.is_empty(), "a token without a link");
        token.id
    }

    /// Nothing goes on in the background.
    async fn drain(&self) {}
}
