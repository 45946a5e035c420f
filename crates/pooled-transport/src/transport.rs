//! [`PooledTransport`], its [`Builder`], and the exchange of a request for a response.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, StatusCode, Uri, Version, header::HOST};
use http_body::Body;
use hyper::{
    client::conn::http2,
    rt::{Read, Write},
};
use hyper_util::{client::legacy::connect::Connection, rt::TokioTimer};
use tower_service::Service;

use crate::{
    BoxError, ResponseBody,
    error::{Error, Kind},
    host::{BoxingExecutor, Checkout, Sender},
    pool::Pool,
    target::Origin,
};

/// A service over a pool of connections that all clones share.
///
/// Each tokio runtime has its own connections to a scheme, host and port. It is one HTTP/2 connection if the
/// connector negotiated it, else one HTTP/1.1 connection for each concurrent request. The runtime that first
/// polls an exchange drives its connection.
///
/// A connection that was idle for [`Builder::idle_timeout`] is not used again, and is closed within 5 s. A
/// response with status 421 retires its connection. Redirects are not followed, and nothing is decompressed.
/// Only the connector limits the time to connect. It may use a proxy by a tunnel.
///
/// # Errors
///
/// hyper returns a request unsent if its pooled connection had ended. It then goes over another connection,
/// without a clone. Any other failure is an [`Error`], also outside of a tokio runtime, and if the runtime
/// ended. A runtime without I/O or timers panics.
///
/// # Cancel safety
///
/// Dropping the future of an exchange closes its HTTP/1.1 connection, or resets its HTTP/2 stream. A connect
/// that it started goes on in the background, up to a limit, and its connection is added to the pool.
pub struct PooledTransport<C, B> {
    inner: Arc<Inner<C, B>>,
}

struct Inner<C, B> {
    connector: C,
    pool: Arc<Pool<B>>,
    http2: http2::Builder<BoxingExecutor>,
    before_send: Option<BeforeSend<B>>,
}

type BeforeSend<B> = fn(&Request<B>) -> Result<(), BoxError>;

impl<C, B: Send + 'static> PooledTransport<C, B> {
    /// Creates a transport with the defaults of [`Builder`].
    pub fn new(connector: C) -> Self {
        Builder::new().build(connector)
    }
}

/// Configures a [`PooledTransport`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<B> {
    idle_timeout: Duration,
    http2: http2::Builder<BoxingExecutor>,
    before_send: Option<BeforeSend<B>>,
}

impl<B> Default for Builder<B> {
    fn default() -> Self {
        let mut http2 = http2::Builder::new(BoxingExecutor);
        http2
            .timer(TokioTimer::new())
            .keep_alive_timeout(Duration::from_secs(3));
        Self {
            idle_timeout: Duration::from_secs(30),
            http2,
            before_send: None,
        }
    }
}

impl<B: Send + 'static> Builder<B> {
    /// Creates a builder with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long an idle connection stays in the pool. Default: 30 s.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Sets how long an HTTP/2 connection with requests in flight may be silent before a ping is sent, or `None`
    /// for no pings. Default: no pings, which take 1,500 instructions of an exchange.
    pub fn http2_keep_alive_interval(mut self, interval: Option<Duration>) -> Self {
        self.http2.keep_alive_interval(interval);
        self
    }

    /// Sets how long the peer may take to reply to that ping. Then the connection is closed, and its requests
    /// fail. Default: 3 s.
    pub fn http2_keep_alive_timeout(mut self, limit: Duration) -> Self {
        self.http2.keep_alive_timeout(limit);
        self
    }

    /// Checks each request directly before a connection takes it. If the check fails, nothing is sent, and its
    /// error is the source of the exchange's error. Default: no check.
    pub fn before_send(mut self, check: fn(&Request<B>) -> Result<(), BoxError>) -> Self {
        self.before_send = Some(check);
        self
    }

    /// Creates the transport. It calls `connector` with the scheme and authority of a request's URI.
    #[must_use]
    pub fn build<C>(self, connector: C) -> PooledTransport<C, B> {
        PooledTransport {
            inner: Arc::new(Inner {
                connector,
                pool: Pool::new(self.idle_timeout),
                http2: self.http2,
                before_send: self.before_send,
            }),
        }
    }
}

impl<C, B> Inner<C, B>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Unpin + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    /// Sends the request and returns the response. A request that hyper returns unsent is sent again.
    // The future of an `async fn` would hold the request twice: 500 instructions more.
    #[expect(clippy::manual_async_fn)]
    fn exchange(
        self: Arc<Self>,
        mut request: Request<B>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Error>> + Send {
        async move {
            let origin = Origin::of(&request)?;
            let (driver, error) = loop {
                let host = self.pool.host(&origin)?;
                let connect = || host.connect(self.connector.clone(), self.http2.clone());
                let Checkout {
                    mut sender,
                    number,
                    driver,
                } = host.checkout(connect).await?;
                if let Err(refused) = self.check(&request, &sender) {
                    host.give_back(sender, number);
                    return Err(refused);
                }
                let mut uri = None;
                if let Sender::Http1(_) = sender {
                    let path = request.uri().path_and_query().cloned();
                    let path = path.map_or_else(Uri::default, Uri::from);
                    uri = Some(mem::replace(request.uri_mut(), path));
                    let headers = request.headers_mut();
                    headers.entry(HOST).or_insert_with(|| host.header.clone());
                }
                let result = match &mut sender {
                    Sender::Http1(linked) => linked.pass(|it| it.try_send_request(request)).await,
                    Sender::Http2(linked) => linked.pass(|it| it.try_send_request(request)).await,
                };
                let mut failure = match result {
                    Ok(response) => {
                        if response.status() == StatusCode::MISDIRECTED_REQUEST {
                            host.retire(number);
                        } else {
                            host.give_back(sender, number);
                        }
                        return Ok(response.map(ResponseBody::from));
                    }
                    Err(failure) => failure,
                };
                let (unsent, error) = (failure.take_message(), failure.into_error());
                request = match (unsent, driver) {
                    (Some(unsent), None) => unsent,
                    (Some(_), Some(driver)) => break (driver, error),
                    (None, _) => return Err(Error::new(Kind::Exchange, error)),
                };
                host.retire(number);
                if let Some(uri) = uri {
                    *request.uri_mut() = uri;
                }
            };
            Err(Error::new(Kind::Unsent, driver.cause(error).await))
        }
    }

    fn check(&self, request: &Request<B>, sender: &Sender<B>) -> Result<(), Error> {
        if request.version() == Version::HTTP_2 && matches!(sender, Sender::Http1(_)) {
            return Err(Kind::Request.into());
        }
        self.before_send
            .map_or(Ok(()), |check| check(request))
            .map_err(|error| Error::new(Kind::Refused, error))
    }
}

impl<C, B> Service<Request<B>> for PooledTransport<C, B>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Unpin + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        ResponseFuture {
            inner: Box::pin(Arc::clone(&self.inner).exchange(request)),
        }
    }
}

impl<C, B> Clone for PooledTransport<C, B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<C, B> fmt::Debug for PooledTransport<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledTransport").finish_non_exhaustive()
    }
}

/// The future of an exchange, up to the head of its response.
pub struct ResponseFuture {
    inner: Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Error>> + Send>>,
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
