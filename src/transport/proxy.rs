//! [`Proxy`], and how a connection is opened through it.
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

use std::{env, fmt, io};

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
/// Each connection is a tunnel, opened by `CONNECT`, and the tunnel is part of the time to connect. The proxy
/// sees the name of the host and encrypted bytes, and no key, user or token. Plain HTTP does not go through
/// it. A tunnel that the proxy refuses is a connect failure, so nothing was sent. The attempt is not retried
/// if the proxy requires other credentials.
///
/// `Debug` does not show the password.
#[derive(Clone)]
pub struct Proxy {
    to: Option<Intercept>,
    /// Hosts that are connected to directly, separated by commas.
    except: String,
}

impl Proxy {
    /// The proxy at `uri`: `http://host:port`, or `http://user:password@host:port`.
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
        let to = to.filter(is_valid).ok_or(InvalidProxy { variable: None })?;
        Ok(Self::new(Some(to)))
    }

    /// The proxy of the first of the variables `HTTPS_PROXY`, `https_proxy`, `ALL_PROXY` and `all_proxy` that is
    /// set, except for the hosts in `NO_PROXY` or `no_proxy`. If none is set, there is no proxy.
    ///
    /// The variables are read now. They are ignored under CGI, where `REQUEST_METHOD` is set, because there a
    /// client can set variables. Use [`Proxy::to`] in such a program.
    ///
    /// # Errors
    ///
    /// If the variable is empty, or any other text that [`Proxy::to`] refuses, or if one is not Unicode.
    pub fn from_env() -> Result<Self, InvalidProxy> {
        if env::var_os("REQUEST_METHOD").is_some() {
            return Ok(Self::new(None));
        }
        let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        let mut proxy = Self::new(None);
        if let Some((variable, uri)) = first_set(&names)? {
            proxy = Self::to(&uri).map_err(|_| InvalidProxy { variable })?;
        }
        if let Some((_, hosts)) = first_set(&["NO_PROXY", "no_proxy"])? {
            proxy = proxy.except(&hosts);
        }
        Ok(proxy)
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

/// Returns the name and the value of the first variable that is set.
fn first_set(
    names: &[&'static str],
) -> Result<Option<(Option<&'static str>, String)>, InvalidProxy> {
    let mut set = names.iter().map(|name| (Some(*name), env::var_os(name)));
    match set.find_map(|(variable, value)| Some((variable, value?))) {
        None => Ok(None),
        Some((variable, value)) => match value.into_string() {
            Ok(value) => Ok(Some((variable, value))),
            Err(_) => Err(InvalidProxy { variable }),
        },
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}

/// A [`Proxy`] is not valid. The error does not show its URI, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidProxy {
    variable: Option<&'static str>,
}

impl fmt::Display for InvalidProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(variable) = self.variable {
            write!(f, "{variable}: ")?;
        }
        f.write_str("the URI of a proxy is like http://host:port or http://user:password@host:port")
    }
}

impl std::error::Error for InvalidProxy {}

/// Why the proxy opened no tunnel. The server behind it was not involved.
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
) -> Result<TokioIo<TcpStream>, BoxError> {
    let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
    if let Some(auth) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(auth.clone());
    }
    let connected = tunnel.oneshot(host).await;
    connected.map_err(|error| NoTunnel::of(error.into()).into())
}
