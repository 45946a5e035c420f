//! [`HyperTransport`], a transport over hyper-util's client.

use std::{
    error::Error as _,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response, StatusCode, uri::Authority};
use hyper::rt::Executor;
use hyper_util::{client::legacy, rt::TokioTimer};
use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tower_service::Service;

pub use pooled_transport::ResponseBody;

use super::{ConnectError, Connector, TlsError, TransportConfig};
use crate::{Body, BoxError, lock};

/// hyper-util's client over rustls, with a connection pool that all clones share: an alternative to
/// [`PooledTransport`](super::PooledTransport).
///
/// Use it from one runtime, because a connection stops with the runtime that opened it. Between two
/// `block_on` it does not notice the end of a connection, and a call may fail.
///
/// Plain HTTP connects to loopback addresses only. A response with status 421 retires all connections; requests
/// in flight end on theirs. The exchanges and connections of all clones are polled one at a time, so that they
/// use at most one core.
#[derive(Clone, Debug)]
pub struct HyperTransport {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    builder: legacy::Builder,
    connector: Connector,
    /// Replaced by one without connections after a response with status 421.
    client: Mutex<legacy::Client<Connector, Body>>,
    tasks: Tasks,
}

/// Spawns the tasks of hyper.
///
/// It is locked while a task or an exchange is polled. Otherwise a connection could end while hyper's channel
/// takes a request, which would then stay in the channel, and the exchange would never end.
#[derive(Clone, Debug, Default)]
struct Tasks(Arc<Mutex<()>>);

impl<F: Future<Output: Send> + Send + Unpin + 'static> Executor<F> for Tasks {
    fn execute(&self, mut task: F) {
        let Self(polling) = self.clone();
        tokio::spawn(poll_fn(move |cx| {
            let _polling = lock(&polling);
            Pin::new(&mut task).poll(cx)
        }));
    }
}

impl HyperTransport {
    /// Creates a transport with its own connections.
    ///
    /// # Errors
    ///
    /// If there is no cryptography provider, no root certificate, or an invalid one.
    pub fn new(config: &TransportConfig) -> Result<Self, TlsError> {
        let connector = super::connector(config)?;
        // With the default timeout shorter than an attempt, so that the next attempt uses another connection.
        let keep_alive = config.http2_keep_alive_interval;
        let keep_alive = keep_alive.unwrap_or(Some(Duration::from_secs(5)));
        let tasks = Tasks::default();
        let mut builder = legacy::Client::builder(tasks.clone());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.pool_idle_timeout)
            .http2_keep_alive_interval(keep_alive)
            .http2_keep_alive_timeout(config.http2_keep_alive_timeout);
        let shared = Shared {
            client: Mutex::new(builder.build(connector.clone())),
            builder,
            connector,
            tasks,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl Service<Request<Body>> for HyperTransport {
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Handle::try_current().map(drop).map_err(Into::into))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        ResponseFuture {
            server: request.uri().authority().cloned(),
            inner: lock(&self.shared.client).request(request),
            shared: Arc::clone(&self.shared),
        }
    }
}

pin_project! {
    /// The future of an exchange, up to the head of its response.
    #[derive(Debug)]
    pub struct ResponseFuture {
        #[pin]
        inner: legacy::ResponseFuture,
        server: Option<Authority>,
        shared: Arc<Shared>,
    }
}

/// Returns whether the connection ended before the request was written to it.
fn is_unsent(error: &legacy::Error) -> bool {
    let hyper = error.source().and_then(|it| it.downcast_ref());
    hyper.is_some_and(|it: &hyper::Error| it.is_canceled() || it.is_closed())
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = {
            let _polling = lock(&this.shared.tasks.0);
            this.inner.poll(cx)
        };
        let response = match ready!(polled) {
            Ok(response) => response,
            Err(error) => {
                let server = this.server.as_ref().filter(|_| is_unsent(&error));
                let reason =
                    server.and_then(|it| lock(&this.shared.connector.refusals).get(it).cloned());
                return Poll::Ready(Err(match reason {
                    Some(reason) => ConnectError::HandshakeRefused(reason).into(),
                    None => error.into(),
                }));
            }
        };
        if response.status() == StatusCode::MISDIRECTED_REQUEST {
            let Shared {
                builder, connector, ..
            } = &**this.shared;
            *lock(&this.shared.client) = builder.build(connector.clone());
        }
        Poll::Ready(Ok(response.map(ResponseBody::from)))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http::Uri;
    use http_body_util::Empty;
    use hyper_util::rt::TokioIo;
    use tokio::{net::TcpStream, sync::mpsc::unbounded_channel};

    use super::*;

    #[tokio::test]
    async fn neither_task_nor_exchange_is_polled_while_another_one_is() {
        let HyperTransport { shared } = HyperTransport::new(&TransportConfig::default()).unwrap();
        let tasks = shared.tasks.clone();
        let (seen, mut all_seen) = unbounded_channel();
        let Tasks(polling) = tasks.clone();
        let see = move || seen.send(polling.try_lock().is_err()).unwrap();
        let connect = see.clone();
        let connector = tower::service_fn(move |_: Uri| {
            connect();
            std::future::ready(io::Result::<TokioIo<TcpStream>>::Err(
                io::ErrorKind::NotFound.into(),
            ))
        });
        let client = legacy::Client::builder(tasks.clone()).build(connector);
        let request = Request::get("https://localhost/").body(Empty::<&[u8]>::new());
        let exchange = ResponseFuture {
            inner: client.request(request.unwrap()),
            server: None,
            shared,
        };
        assert!(exchange.await.is_err());
        tasks.execute(Box::pin(async move { see() }));
        assert_eq!(all_seen.recv().await, Some(true));
        assert_eq!(all_seen.recv().await, Some(true));
    }
}
