//! [`Proxy`], through which connections are made where that is asked for.
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
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::{BoxError, base_url};

/// A proxy through which connections are made, for [`TransportConfig::proxy`](super::TransportConfig::proxy).
///
/// It is asked for a tunnel, by `CONNECT`, and sees the host's name and encrypted bytes: neither key nor
/// credential, neither user nor actor. What goes over plain HTTP, to loopback, goes past it. The tunnel is
/// part of the connect phase, and in its time. A proxy that refuses is a failure to connect, after which
/// nothing was sent. One that asks for a user and password, or for others, is not asked again.
///
/// `Debug` shows no password.
#[derive(Clone)]
pub struct Proxy {
    to: Arc<Matcher>,
    except: Arc<Matcher>,
}

impl Proxy {
    /// The proxy at `uri`: `http://host:port`, or `http://user:password@host:port` for one that asks
    /// who connects.
    ///
    /// # Errors
    ///
    /// When `uri` is none, or that of a proxy that is spoken to otherwise.
    pub fn to(uri: &str) -> Result<Self, InvalidProxy> {
        let to = Matcher::builder().https(uri).build();
        let https = Uri::from_static("https://host/");
        let proxy = to.intercept(&https).ok_or(InvalidProxy(()))?;
        if !is_supported(proxy.uri()) || !has_right_port(proxy.uri()) {
            return Err(InvalidProxy(()));
        }
        Ok(Self::by(to))
    }

    /// The proxy that `HTTPS_PROXY` names, or else `ALL_PROXY`, except for what `NO_PROXY` lists; or the
    /// same in small letters. They are read here. No proxy where they are not set, or not URIs.
    ///
    /// Nor under CGI, which is where `REQUEST_METHOD` is set: there the one who sends a request names
    /// variables, and none is believed. A program of that kind names its proxy by [`Proxy::to`].
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

    /// Connects past the proxy to these hosts: names, which stand for those below them as well, IP
    /// addresses, and networks like `10.0.0.0/8`, with commas in between. What `NO_PROXY` lists stays
    /// excepted.
    #[must_use]
    pub fn except(mut self, hosts: &str) -> Self {
        self.except = Arc::new(excepted(hosts));
        self
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}

/// What sends everything to a proxy but what goes to these hosts.
fn excepted(hosts: &str) -> Matcher {
    Matcher::builder().all("http://proxy").no(hosts).build()
}

fn is_supported(proxy: &Uri) -> bool {
    proxy.scheme() == Some(&Scheme::HTTP)
}

/// `Uri` accepts ports that no socket has, and connecting then takes another one.
fn has_right_port(proxy: &Uri) -> bool {
    proxy.authority().is_some_and(base_url::has_right_port)
}

/// The error of a text that is not the URI of a [`Proxy`]. It does not show the text, which may hold a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is named by a URI like http://host:port or http://user:password@host:port")]
pub struct InvalidProxy(());

/// Why the proxy gave no connection. The server that it should lead to has no part in that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTunnel {
    /// The environment names one that cannot be spoken to.
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
            // hyper-util tells these apart by words only.
            match cause.to_string().as_str() {
                "tunnel error: proxy authorization required" => return Self::Unauthorized(error),
                "dns error" => return Self::Unresolved(error),
                _ => next = cause.source(),
            }
        }
        Self::Failed(error)
    }

    /// Whether it is the configuration that is wrong, so that another attempt would only repeat it.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Unsupported(_) | Self::Port | Self::Unauthorized(_)
        )
    }
}

/// Connects by TCP, through a proxy where there is one for the host.
#[derive(Clone)]
pub(super) struct MaybeProxied {
    tcp: HttpConnector,
    proxy: Option<Proxy>,
}

impl MaybeProxied {
    pub(super) fn new(tcp: HttpConnector, proxy: Option<Proxy>) -> Self {
        Self { tcp, proxy }
    }
}

impl Service<Uri> for MaybeProxied {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, host: Uri) -> Self::Future {
        let intercept = self
            .proxy
            .as_ref()
            .filter(|proxy| {
                host.scheme() == Some(&Scheme::HTTPS) && proxy.except.intercept(&host).is_some()
            })
            .and_then(|proxy| proxy.to.intercept(&host));
        let Some(intercept) = intercept else {
            let connecting = self.tcp.call(host);
            return Box::pin(async move { Ok(connecting.await?) });
        };
        let proxy = intercept.uri().clone();
        if !is_supported(&proxy) {
            let scheme = proxy.scheme_str().unwrap_or_default().to_owned();
            return Box::pin(std::future::ready(
                Err(NoTunnel::Unsupported(scheme).into()),
            ));
        }
        if !has_right_port(&proxy) {
            return Box::pin(std::future::ready(Err(NoTunnel::Port.into())));
        }
        // The instance that was polled ready.
        let next = self.tcp.clone();
        let tcp = std::mem::replace(&mut self.tcp, next);
        let mut tunnel = Tunnel::new(proxy, tcp);
        if let Some(auth) = intercept.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        let connecting = tunnel.call(host);
        Box::pin(async move {
            let connected = connecting.await;
            connected.map_err(|error| NoTunnel::of(error.into()).into())
        })
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::client::legacy::connect::dns::Name;

    use super::*;

    #[test]
    fn what_is_not_the_uri_of_a_proxy_is_refused_and_not_shown() {
        for uri in [
            "",
            "http://",
            "http:// marker",
            "https://marker:marker@proxy:3128",
            "socks5://marker@proxy",
            "ftp://marker",
            "/marker",
            "http://proxy:99999",
            "http://marker:marker@proxy:99999",
            "http://proxy:0",
            "proxy:65536",
            "http://proxy:",
        ] {
            let error = Proxy::to(uri).expect_err(uri);
            assert!(!format!("{error:?} {error}").contains("marker"));
        }
        for uri in [
            "http://proxy",
            "proxy:3128",
            "http://marker:marker@[::1]:3128/",
        ] {
            let shown = format!("{:?}", Proxy::to(uri).expect(uri));
            assert!(!shown.contains("marker"), "{shown}");
        }
    }

    #[tokio::test]
    async fn it_is_said_that_the_name_is_the_proxys() {
        let resolver = tower::service_fn(|_: Name| async {
            Err::<std::vec::IntoIter<std::net::SocketAddr>, _>(io::Error::other("no such name"))
        });
        let proxy = Uri::from_static("http://user:password@proxy:3128");
        let mut tunnel = Tunnel::new(proxy, HttpConnector::new_with_resolver(resolver));
        let failed = tunnel.call(Uri::from_static("https://host")).await;
        let failed = NoTunnel::of(failed.map(drop).unwrap_err().into());
        assert!(!failed.is_permanent());
        assert_eq!(
            failed.to_string(),
            "the name of the proxy could not be resolved"
        );
        assert!(!format!("{failed:?}").contains("password"));
    }
}
