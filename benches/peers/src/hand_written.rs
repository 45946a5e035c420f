//! A create written by hand over hyper-util's client.

use std::time::Duration;

use bytes::Bytes;
use http::{
    Request, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ADMIN_ID, Error, LIFE_SECONDS, SECRET_KEY, USER_ID};

#[derive(Serialize)]
pub(crate) struct CreateActorToken<'a> {
    user_id: &'a str,
    actor: Actor<'a>,
    expires_in_seconds: u64,
}

#[derive(Serialize)]
struct Actor<'a> {
    sub: &'a str,
}

impl CreateActorToken<'_> {
    pub(crate) const SAMPLE: Self = Self {
        user_id: USER_ID,
        actor: Actor { sub: ADMIN_ID },
        expires_in_seconds: LIFE_SECONDS,
    };
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "reading it has a cost")]
pub(crate) struct ActorToken {
    id: String,
    user_id: String,
    actor: Map<String, Value>,
    status: String,
    token: Option<String>,
    pub(crate) url: Option<String>,
    created_at: u64,
    updated_at: u64,
}

pub(crate) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base_url: String,
}

impl Client {
    /// Uses the settings of this crate's transport.
    pub(crate) fn new(base_url: String, tls: rustls::ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_secs(3)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { http, base_url }
    }

    pub(crate) async fn create(&self) -> Result<ActorToken, Error> {
        let body = serde_json::to_vec(&CreateActorToken::SAMPLE)?;
        let request = Request::post(format!("{}/actor_tokens", self.base_url))
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "identity")
            .header(AUTHORIZATION, format!("Bearer {SECRET_KEY}"))
            .header("clerk-api-version", "2026-05-12")
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "hand-written/0.1.0")
            .header("x-clerk-sdk", "rust/0.1.0")
            .body(Full::new(Bytes::from(body)))?;
        let response = self.http.request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK {
            return Err(format!("the API responded {status}").into());
        }
        Ok(serde_json::from_slice(&body)?)
    }
}
