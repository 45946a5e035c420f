//! The two operations written by hand, without retries, timeouts, settling and secret types.

use std::error::Error;

use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tower_service::Service;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Serialize)]
struct CreateActorToken<'a> {
    user_id: &'a str,
    actor: Actor<'a>,
    expires_in_seconds: u64,
}

#[derive(Serialize)]
struct Actor<'a> {
    sub: &'a str,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "reading it has a cost")]
pub(crate) struct ActorToken {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) actor: Map<String, Value>,
    pub(crate) status: Status,
    pub(crate) token: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) created_at: u64,
    pub(crate) updated_at: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Pending,
    Accepted,
    Revoked,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "reading it has a cost")]
struct ClerkErrors {
    errors: Vec<ClerkError>,
    clerk_trace_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "reading it has a cost")]
struct ClerkError {
    message: String,
    long_message: Option<String>,
    code: String,
    meta: Option<Value>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "reading it has a cost")]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ClerkErrors,
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the API responded {}", self.status)
    }
}

impl Error for ApiError {}

#[derive(Clone)]
pub(crate) struct Client<T> {
    pub(crate) transport: T,
    pub(crate) base_url: String,
    pub(crate) secret_key: String,
}

impl<T> Client<T>
where
    T: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>> + Clone,
    T::Error: Into<BoxError>,
{
    pub(crate) async fn create(
        &self,
        user_id: &str,
        sub: &str,
        expires_in_seconds: u64,
    ) -> Result<ActorToken, BoxError> {
        let body = serde_json::to_vec(&CreateActorToken {
            user_id,
            actor: Actor { sub },
            expires_in_seconds,
        })?;
        self.send(format!("{}/actor_tokens", self.base_url), body)
            .await
    }

    pub(crate) async fn revoke(&self, id: &str) -> Result<ActorToken, BoxError> {
        let url = format!("{}/actor_tokens/{id}/revoke", self.base_url);
        self.send(url, Vec::new()).await
    }

    /// Sends the same headers as the stack.
    async fn send(&self, url: String, body: Vec<u8>) -> Result<ActorToken, BoxError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "identity")
            .header(AUTHORIZATION, format!("Bearer {}", self.secret_key))
            .header("clerk-api-version", "2026-05-12")
            .header(CONTENT_LENGTH, body.len())
            .header(USER_AGENT, "hand-written/0.1.0")
            .header("x-clerk-sdk", "rust/0.1.0");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let mut transport = self.transport.clone();
        let response = transport.call(request).await.map_err(Into::into)?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status == StatusCode::OK {
            return Ok(serde_json::from_slice(&body)?);
        }
        let body = serde_json::from_slice(&body)?;
        Err(ApiError { status, body }.into())
    }
}
