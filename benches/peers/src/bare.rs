//! The lowest possible cost of a create: hyper's connection and JSON, without timeouts and error kinds.
//! Connections are kept in a stack; over HTTP/2 there is one.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    rt::{Read, Write},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use serde::Deserialize;
use tokio::{net::TcpStream, sync::OnceCell};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Error, Protocol, SECRET_KEY, hand_written::CreateActorToken};

#[derive(Deserialize)]
#[expect(dead_code, reason = "reading it has a cost")]
pub(crate) struct Link<'a> {
    id: &'a str,
    pub(crate) url: &'a str,
}

pub(crate) struct Client {
    uri: Uri,
    tls: TlsConnector,
    connections: Connections,
}

enum Connections {
    /// The idle ones.
    Http1(Mutex<Vec<http1::SendRequest<Full<Bytes>>>>),
    Http2(OnceCell<http2::SendRequest<Full<Bytes>>>),
}

static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let text = HeaderValue::from_static;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, text("application/json"));
    headers.insert(ACCEPT_ENCODING, text("identity"));
    headers.insert("clerk-api-version", text("2026-05-12"));
    headers.insert(CONTENT_TYPE, text("application/json"));
    headers.insert(USER_AGENT, text("hand-written/0.1.0"));
    headers.insert("x-clerk-sdk", text("rust/0.1.0"));
    let key = HeaderValue::try_from(format!("Bearer {SECRET_KEY}"));
    headers.extend(key.map(|key| (AUTHORIZATION, key)));
    headers
});

/// `HEADERS` and the host, which HTTP/2 sends as `:authority`.
static HTTP1_HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HEADERS.clone();
    headers.insert(HOST, HeaderValue::from_static("127.0.0.1"));
    headers
});

impl Client {
    pub(crate) fn new(
        base_url: &str,
        mut tls: ClientConfig,
        protocol: Protocol,
    ) -> Result<Self, Error> {
        let connections = match protocol {
            Protocol::Http1 | Protocol::Http1Tls => Connections::Http1(Mutex::default()),
            Protocol::Http2Tls => {
                tls.alpn_protocols = vec![b"h2".to_vec()];
                Connections::Http2(OnceCell::new())
            }
        };
        Ok(Self {
            uri: format!("{base_url}/actor_tokens").parse()?,
            tls: Arc::new(tls).into(),
            connections,
        })
    }

    pub(crate) async fn create(&self) -> Result<(), Error> {
        let body = match &self.connections {
            Connections::Http1(idle) => {
                let reused = locked(idle).pop();
                let mut connection = match reused {
                    Some(connection) => connection,
                    None => self.connect_over_http1().await?,
                };
                connection.ready().await?;
                let path = Uri::from_static("/v1/actor_tokens");
                let request = request(path, &HTTP1_HEADERS)?;
                let body = collect(connection.send_request(request).await?).await?;
                locked(idle).push(connection);
                body
            }
            Connections::Http2(shared) => {
                let shared = shared.get_or_try_init(|| self.connect_over_http2());
                let mut connection = shared.await?.clone();
                let request = request(self.uri.clone(), &HEADERS)?;
                collect(connection.send_request(request).await?).await?
            }
        };
        let link: Link<'_> = serde_json::from_slice(&body)?;
        std::hint::black_box(link.url);
        Ok(())
    }

    async fn connect_over_http1(&self) -> Result<http1::SendRequest<Full<Bytes>>, Error> {
        async fn over(
            io: impl Read + Write + Unpin + Send + 'static,
        ) -> Result<http1::SendRequest<Full<Bytes>>, Error> {
            let mut http1 = http1::Builder::new();
            let (sender, connection) = http1.writev(false).handshake(io).await?;
            tokio::spawn(connection);
            Ok(sender)
        }
        if self.uri.scheme_str() == Some("https") {
            over(TokioIo::new(self.connect_over_tls().await?)).await
        } else {
            over(TokioIo::new(self.connect().await?)).await
        }
    }

    async fn connect_over_http2(&self) -> Result<http2::SendRequest<Full<Bytes>>, Error> {
        let io = TokioIo::new(self.connect_over_tls().await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn connect_over_tls(&self) -> Result<TlsStream<TcpStream>, Error> {
        let name = ServerName::try_from(self.uri.host().unwrap_or_default())?.to_owned();
        Ok(self.tls.connect(name, self.connect().await?).await?)
    }

    async fn connect(&self) -> Result<TcpStream, Error> {
        let address = self.uri.authority().ok_or("no host")?.as_str();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn request(uri: Uri, headers: &HeaderMap) -> Result<Request<Full<Bytes>>, Error> {
    let body = serde_json::to_vec(&CreateActorToken::SAMPLE)?;
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers.clone();
    Ok(request)
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, Error> {
    Ok(response.into_body().collect().await?.to_bytes())
}

fn locked<T>(mutex: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
