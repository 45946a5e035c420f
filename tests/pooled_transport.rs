//! Bodies and errors of this crate over the default transport. `crates/pooled-transport` tests the pool itself.
#![cfg(all(feature = "ring", feature = "webpki-roots"))]

mod support {
    pub(crate) mod in_memory;
}

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Body, BoxError, Client, ClientBuilder, Error, OperationKind, Outcome, SecretKey,
    layer::TimeoutLayer,
    transport::{HyperTransport, PooledTransport, TransportConfig},
};
use futures_util::{future::BoxFuture, poll};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::{TokioExecutor, TokioIo},
};
use support::in_memory::{connected, pool};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tower::{Service, util::MapFutureLayer};

/// A server in the same process, and the number of requests that it read to the end.
#[derive(Clone)]
struct Server {
    http2: bool,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn new(http2: bool) -> Self {
        let requests = Arc::default();
        Self { http2, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Returns the default transport with this server as its connector.
    fn transport(&self) -> pooled_transport::PooledTransport<Self, Body> {
        pool(self.clone())
    }
}

impl Service<Uri> for Server {
    type Response = TokioIo<Pipe>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (requests, http2) = (Arc::clone(&self.requests), self.http2);
        let service = service_fn(move |request: Request<Incoming>| {
            let requests = Arc::clone(&requests);
            async move {
                if request.into_body().collect().await.is_ok() {
                    requests.fetch_add(1, Ordering::SeqCst);
                }
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("ok")))
            }
        });
        let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(server), service)
            .into_owned();
        tokio::spawn(server);
        Box::pin(async move { Ok(TokioIo::new(Pipe { client, http2 })) })
    }
}

struct Pipe {
    client: DuplexStream,
    http2: bool,
}

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        connected(self.http2)
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.client).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        pin!(&mut self.client).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.client).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.client).poll_shutdown(cx)
    }
}

async fn revoke(client: Client) -> Error {
    let error = client.revoke("act_1").await.unwrap_err();
    // Lets background tasks end.
    tokio::time::sleep(Duration::from_secs(90)).await;
    error
}

#[tokio::test(start_paused = true)]
async fn withdrawn_revoke_is_not_sent() {
    async fn late<F: Future>(call: F) -> F::Output {
        tokio::time::sleep(Duration::from_secs(2)).await;
        call.await
    }
    for http2 in [false, true] {
        let server = Server::new(http2);
        let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), server.transport())
            .base_url("http://127.0.0.1")
            .call_layer(TimeoutLayer::new(Duration::from_secs(1)))
            .call_layer(MapFutureLayer::new(async |call| tokio::spawn(call).await?))
            .call_layer(MapFutureLayer::new(late))
            .build()
            .unwrap();
        assert_eq!(revoke(client).await.outcome(), Outcome::NotSent);
        assert_eq!(server.requests(), 0, "HTTP/2: {http2}");
    }
}

/// Polls a call this many times, then fails and lets it continue in the background.
async fn too_late<F, T>(call: F, polls: usize) -> Result<T, BoxError>
where
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Send + 'static,
{
    let mut call = Box::pin(call);
    for _ in 0..polls {
        assert!(poll!(call.as_mut()).is_pending());
    }
    tokio::spawn(call);
    Err("too late".into())
}

#[tokio::test(start_paused = true)]
async fn revoke_is_reported_as_not_sent_only_if_it_is_not_sent() {
    for (http2, polls) in [(false, 0), (false, 1), (false, 2), (true, 0), (true, 1)] {
        let server = Server::new(http2);
        let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), server.transport())
            .base_url("http://127.0.0.1")
            .call_layer(MapFutureLayer::new(move |call| too_late(call, polls)))
            .build()
            .unwrap();
        let is_reported = revoke(client).await.outcome() == Outcome::NotSent;
        let is_unsent = server.requests() == 0;
        assert_eq!(is_reported, is_unsent, "HTTP/2: {http2}, {polls} polls");
    }
}

#[test]
fn request_outside_of_a_runtime_is_an_error_over_either_transport() {
    fn refuses<S>(mut transport: S) -> bool
    where
        S: Service<Request<Body>>,
    {
        let body = Body::new(OperationKind::Create, "{}");
        let request = Request::post("http://127.0.0.1:9").body(body).unwrap();
        let mut response = pin!(transport.call(request));
        let cx = &mut Context::from_waker(Waker::noop());
        matches!(response.as_mut().poll(cx), Poll::Ready(Err(_)))
    }
    let config = TransportConfig::default();
    assert!(refuses(PooledTransport::new(&config).unwrap()));
    assert!(refuses(HyperTransport::new(&config).unwrap()));
}
