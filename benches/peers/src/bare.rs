//! The least that a create over HTTP/1.1 costs: hyper's connection, and JSON both ways. No pool but a pile of
//! connections, no TLS, nothing that can fail is told apart, nothing is timed.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::{Error, SECRET_KEY, hand_written::CreateActorToken};

/// What a caller cannot do without.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read for the sake of the cost")]
pub(crate) struct Link<'a> {
    id: &'a str,
    pub(crate) url: &'a str,
}

pub(crate) struct Client {
    address: String,
    idle: Mutex<Vec<Connection>>,
}

type Connection = SendRequest<Full<Bytes>>;

static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let text = HeaderValue::from_static;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, text("application/json"));
    headers.insert(ACCEPT_ENCODING, text("identity"));
    headers.insert("clerk-api-version", text("2026-05-12"));
    headers.insert(CONTENT_TYPE, text("application/json"));
    headers.insert(USER_AGENT, text("hand-written/0.1.0"));
    headers.insert("x-clerk-sdk", text("rust/0.1.0"));
    headers.insert(HOST, text("127.0.0.1"));
    let key = HeaderValue::try_from(format!("Bearer {SECRET_KEY}"));
    headers.extend(key.map(|key| (AUTHORIZATION, key)));
    headers
});

impl Client {
    pub(crate) fn new(base_url: &Uri) -> Self {
        let address = base_url.authority().map(ToString::to_string);
        Self {
            address: address.unwrap_or_default(),
            idle: Mutex::default(),
        }
    }

    pub(crate) async fn create(&self) -> Result<(), Error> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.ready().await?;
        let body = serde_json::to_vec(&CreateActorToken::SAMPLE)?;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/v1/actor_tokens");
        *request.headers_mut() = HEADERS.clone();
        let answer = connection.send_request(request).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        self.idle().push(connection);
        let link: Link<'_> = serde_json::from_slice(&body)?;
        std::hint::black_box(link.url);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
