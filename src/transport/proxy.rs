//! [`Proxy`], and connecting through one.
//!
//! ```
//! use clerk_actor_tokens::{Client, SecretKey, transport::Proxy};
//!
//! let client = Client::builder(SecretKey::new("sk_test_1")?)
//!     .proxy(Proxy::to("http://user:password@proxy.example.com:3128")?)
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{env, io};

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

use crate::{BoxError, base_url};

/// A proxy for HTTPS connections, for [`TransportConfig::proxy`](super::TransportConfig::proxy).
///
/// Each connection is a tunnel opened by `CONNECT`, within the connect timeout. The proxy sees the name of
/// the host and encrypted bytes, but no key, user or token. Plain HTTP does not use it. If the proxy refuses
/// the tunnel, nothing was sent. If it requires other credentials, the attempt is not retried.
///
/// `Debug` does not show the password.
#[derive(Clone, Debug)]
pub struct Proxy {
    to: Option<Intercept>,
    /// Hosts that are connected to directly, separated by commas.
    except: String,
}

impl Proxy {
    /// Creates a proxy from `http://host:port` or `http://user:password@host:port`.
    ///
    /// # Errors
    ///
    /// If `uri` is not such a URI, or its port is not valid.
    pub fn to(uri: &str) -> Result<Self, InvalidProxy> {
        let matcher = Matcher::builder().https(uri).build();
        let to = matcher.intercept(&Uri::from_static("https://host/"));
        let is_valid = |to: &Intercept| {
            // `Uri` accepts ports above 65535, and a connector then uses another port.
            let authority = to.uri().authority();
            to.uri().scheme() == Some(&Scheme::HTTP)
                && authority.is_some_and(base_url::has_right_port)
        };
        let to = to.filter(is_valid).ok_or(InvalidProxy("the text"))?;
        Ok(Self::new(Some(to)))
    }

    /// Creates a proxy from the first variable that is set: `HTTPS_PROXY`, `https_proxy`, `ALL_PROXY` or
    /// `all_proxy`, except for the hosts in `NO_PROXY` or `no_proxy`. Without one there is no proxy.
    ///
    /// Under CGI, where `REQUEST_METHOD` is set, the variables are ignored, because a client can set them
    /// there. Use [`Proxy::to`] in such a program.
    ///
    /// # Errors
    ///
    /// If the variable is empty, or another text that [`Proxy::to`] refuses.
    pub fn from_env() -> Result<Self, InvalidProxy> {
        if env::var_os("REQUEST_METHOD").is_some() {
            return Ok(Self::new(None));
        }
        let value = |name: &&'static str| Some((*name, env::var_os(name)?));
        let mut names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].iter();
        let proxy = match names.find_map(value) {
            Some((name, uri)) => Self::to(&uri.to_string_lossy()).map_err(|_| InvalidProxy(name)),
            None => Ok(Self::new(None)),
        }?;
        let except = ["NO_PROXY", "no_proxy"].iter().find_map(value);
        let (_, hosts) = except.unwrap_or_default();
        Ok(proxy.except(&hosts.to_string_lossy()))
    }

    fn new(to: Option<Intercept>) -> Self {
        let except = String::new();
        Self { to, except }
    }

    /// Also connects directly to these hosts: names, which include their subdomains, IP addresses, and networks
    /// like `10.0.0.0/8`, separated by commas.
    #[must_use]
    pub fn except(mut self, hosts: &str) -> Self {
        self.except = [&self.except, hosts].join(",");
        self
    }

    /// Returns the proxy for this URI, if there is one.
    pub(super) fn tunnel(&self, uri: &Uri) -> Option<Intercept> {
        let except = Matcher::builder().all("http://proxy").no(&*self.except);
        except.build().intercept(uri).and(self.to.clone())
    }
}

/// A text or an environment variable is not the URI of a [`Proxy`]. The error does not show it, because it
/// may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the URI of a proxy, like http://host:port or http://user:password@host:port")]
pub struct InvalidProxy(&'static str);

/// The error of opening a tunnel. The server behind the proxy did not see it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTunnel {
    #[error("the proxy requires valid credentials")]
    Unauthorized(#[source] BoxError),
    #[error("the name of the proxy could not be resolved")]
    Unresolved(#[source] BoxError),
    #[error("the proxy refuses connections")]
    Refused(#[source] BoxError),
    #[error("the proxy opened no tunnel")]
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
        matches!(self, Self::Unauthorized(_))
    }
}

/// Connects to `host` through the proxy.
pub(super) async fn connect(
    tcp: HttpConnector,
    proxy: Intercept,
    host: Uri,
) -> Result<TokioIo<TcpStream>, NoTunnel> {
    let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
    if let Some(auth) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(auth.clone());
    }
    let connected = tunnel.oneshot(host).await;
    connected.map_err(|error| NoTunnel::of(error.into()))
}
