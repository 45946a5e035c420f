//! [`Proxy`], and the connector that opens a tunnel through it.
//!
//! ```
//! use clerk_actor_tokens::{Client, SecretKey, transport::Proxy};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder(SecretKey::new("sk_test_1")?)
//!     .proxy(Proxy::to("http://user:password@proxy.example.com:3128")?)
//!     .build()?;
//! # let _ = client;
//! # Ok(())
//! # }
//! ```

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Uri, uri::Scheme};
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower::ServiceExt;
use tower_service::Service;

use crate::{BoxError, base_url};

/// A proxy for HTTPS connections, for [`TransportConfig::proxy`](super::TransportConfig::proxy).
///
/// Each connection is a tunnel, opened by `CONNECT`. The proxy sees the name of the host and encrypted bytes,
/// and no key, user or token. Plain HTTP to loopback does not go through it. The tunnel is part of the time
/// to connect. A proxy that refuses the tunnel is a connect failure, so nothing was sent. A connect that
/// failed because the proxy requires other credentials is not retried.
///
/// `Debug` does not show the password.
#[derive(Clone)]
pub struct Proxy {
    to: Arc<Matcher>,
    except: Arc<Matcher>,
}

impl Proxy {
    /// The proxy at `uri`: `http://host:port`, or `http://user:password@host:port`.
    ///
    /// # Errors
    ///
    /// If `uri` is not such a URI, or its port is not valid.
    pub fn to(uri: &str) -> Result<Self, InvalidProxy> {
        let to = Matcher::builder().https(uri).build();
        let https = Uri::from_static("https://host/");
        let proxy = to.intercept(&https).ok_or(InvalidProxy(()))?;
        if !is_supported(proxy.uri()) || !has_right_port(proxy.uri()) {
            return Err(InvalidProxy(()));
        }
        Ok(Self::by(to))
    }

    /// The proxy of the variable `HTTPS_PROXY`, or else `ALL_PROXY`, except for the hosts in `NO_PROXY`. The
    /// variables are read now. Without them, and if they are not URIs, there is no proxy.
    ///
    /// A program that runs under CGI, where `REQUEST_METHOD` is set, ignores them, because there the client
    /// of a request can set variables. Such a program uses [`Proxy::to`].
    #[must_use]
    pub fn from_env() -> Self {
        Self::by(Matcher::from_env())
    }

    fn by(to: Matcher) -> Self {
        Self {
            to: Arc::new(to),
            except: Arc::new(excepted("")),
        }
    }

    /// Connects directly to these hosts: names, which include their subdomains, IP addresses, and networks
    /// like `10.0.0.0/8`, separated by commas. The hosts in `NO_PROXY` stay excepted.
    #[must_use]
    pub fn except(mut self, hosts: &str) -> Self {
        self.except = Arc::new(excepted(hosts));
        self
    }

    fn intercept(&self, host: &Uri) -> Option<Intercept> {
        if host.scheme() != Some(&Scheme::HTTPS) {
            return None;
        }
        self.except.intercept(host)?;
        self.to.intercept(host)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}

/// Matches every host except these.
fn excepted(hosts: &str) -> Matcher {
    Matcher::builder().all("http://proxy").no(hosts).build()
}

fn is_supported(proxy: &Uri) -> bool {
    proxy.scheme() == Some(&Scheme::HTTP)
}

/// `Uri` accepts ports above 65535, and a connector then uses another port.
fn has_right_port(proxy: &Uri) -> bool {
    proxy.authority().is_some_and(base_url::has_right_port)
}

/// The URI of a [`Proxy`] is not valid. The error does not show it, because it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is named by a URI like http://host:port or http://user:password@host:port")]
pub struct InvalidProxy(());

/// Why the proxy opened no tunnel. The server behind it was not involved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTunnel {
    /// The environment names a proxy of another kind.
    #[error("the proxy is spoken to by {0}, and only http is supported")]
    Unsupported(String),
    #[error("the proxy is named with a port that no socket has")]
    Port,
    #[error("the proxy asks for credentials, or for others")]
    Unauthorized(#[source] BoxError),
    #[error("the name of the proxy could not be resolved")]
    Unresolved(#[source] BoxError),
    #[error("the proxy refuses connections")]
    Refused(#[source] BoxError),
    #[error("the proxy leads to no connection")]
    Failed(#[source] BoxError),
}

impl NoTunnel {
    fn of(error: BoxError) -> Self {
        let mut next = Some(&*error as &(dyn std::error::Error + 'static));
        while let Some(cause) = next {
            let io = cause.downcast_ref::<io::Error>();
            if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                return Self::Refused(error);
            }
            // hyper-util distinguishes these by their text only.
            match cause.to_string().as_str() {
                "tunnel error: proxy authorization required" => return Self::Unauthorized(error),
                "dns error" => return Self::Unresolved(error),
                _ => next = cause.source(),
            }
        }
        Self::Failed(error)
    }

    /// Returns whether the configuration is wrong, so that a retry would fail, too.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Unsupported(_) | Self::Port | Self::Unauthorized(_)
        )
    }
}

/// Connects by TCP, through the proxy if there is one for the host.
#[derive(Clone)]
pub(super) struct MaybeProxied {
    pub(super) tcp: HttpConnector,
    pub(super) proxy: Option<Proxy>,
}

impl Service<Uri> for MaybeProxied {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, host: Uri) -> Self::Future {
        let intercept = self.proxy.as_ref().and_then(|proxy| proxy.intercept(&host));
        Box::pin(connect(self.tcp.clone(), intercept, host))
    }
}

async fn connect(
    tcp: HttpConnector,
    intercept: Option<Intercept>,
    host: Uri,
) -> Result<TokioIo<TcpStream>, BoxError> {
    let Some(intercept) = intercept else {
        return Ok(tcp.oneshot(host).await?);
    };
    let proxy = intercept.uri().clone();
    if !is_supported(&proxy) {
        let scheme = proxy.scheme_str().unwrap_or_default().to_owned();
        return Err(NoTunnel::Unsupported(scheme).into());
    }
    if !has_right_port(&proxy) {
        return Err(NoTunnel::Port.into());
    }
    let mut tunnel = Tunnel::new(proxy, tcp);
    if let Some(auth) = intercept.basic_auth() {
        tunnel = tunnel.with_auth(auth.clone());
    }
    let connected = tunnel.oneshot(host).await;
    connected.map_err(|error| NoTunnel::of(error.into()).into())
}
