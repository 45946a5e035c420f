//! [`BaseUrl`], where the API is.

mod check;
mod invalid;

use std::{fmt, str::FromStr};

use http::{
    Uri,
    uri::{Authority, Parts, Scheme},
};

pub use self::invalid::InvalidBaseUrl;

/// Whether this names no port, or one that a socket can have.
#[cfg(feature = "proxy")]
pub(crate) fn has_right_port(authority: &Authority) -> bool {
    check::port(authority).is_ok()
}

/// The base URL of the API, like `https://api.clerk.com/v1`.
///
/// HTTPS only, except for loopback hosts, where plain HTTP is accepted. No user information,
/// query, fragment or dot segments; trailing slashes are dropped. A base URL without a path gets
/// `/v1`.
///
/// ```
/// use clerk_actor_tokens::BaseUrl;
///
/// assert_eq!(BaseUrl::default().to_string(), "https://api.clerk.com/v1");
/// assert_eq!("https://api.clerk.com".parse::<BaseUrl>()?, BaseUrl::default());
/// assert!("http://api.clerk.com/v1".parse::<BaseUrl>().is_err());
/// # Ok::<(), clerk_actor_tokens::InvalidBaseUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// Starts with a slash and does not end with one; empty never.
    path: String,
}

impl BaseUrl {
    const DEFAULT_PATH: &str = "/v1";
    const MAX_LEN: usize = 2048;

    /// Whether a request to this base URL goes to the same place as one to `uri`: same scheme,
    /// host and port, default ports included.
    pub(crate) fn is_authority_of(&self, uri: &Uri) -> bool {
        uri.scheme() == Some(&self.scheme)
            && uri.authority().is_some_and(|other| {
                // The very same text is by far the commonest case, and cheaper than taking it apart.
                std::ptr::eq(other.as_str(), self.authority.as_str())
                    || (other.host().eq_ignore_ascii_case(self.authority.host())
                        && port(&self.scheme, other) == port(&self.scheme, &self.authority)
                        && !other.as_str().contains('@'))
            })
    }

    /// Whether `other` leads to the same scheme, host and port.
    #[must_use]
    pub fn has_same_authority(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self
                .authority
                .host()
                .eq_ignore_ascii_case(other.authority.host())
            && port(&self.scheme, &self.authority) == port(&other.scheme, &other.authority)
    }

    /// Host, an address without brackets, and port.
    pub(crate) fn server(&self) -> (&str, u16) {
        let host = self.authority.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (host, port(&self.scheme, &self.authority))
    }

    /// `path`, which starts with a slash, under this base URL.
    pub(crate) fn join(&self, path: &str) -> Result<Uri, http::Error> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some([self.path.as_str(), path].concat().try_into()?);
        Ok(Uri::from_parts(parts)?)
    }
}

fn port(scheme: &Scheme, authority: &Authority) -> u16 {
    let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    authority.port_u16().unwrap_or(default)
}

impl Default for BaseUrl {
    /// `https://api.clerk.com/v1`.
    fn default() -> Self {
        Self {
            scheme: Scheme::HTTPS,
            authority: Authority::from_static("api.clerk.com"),
            path: Self::DEFAULT_PATH.into(),
        }
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        if url.is_empty() {
            return Err(InvalidBaseUrl::Empty);
        }
        if url.len() > Self::MAX_LEN {
            return Err(InvalidBaseUrl::TooLong);
        }
        if url.contains(char::is_whitespace) {
            return Err(InvalidBaseUrl::WhiteSpace);
        }
        if url.contains('#') {
            return Err(InvalidBaseUrl::Fragment);
        }
        let uri: Uri = url.parse().map_err(|_| InvalidBaseUrl::Syntax)?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(InvalidBaseUrl::NotAbsolute);
        };
        if authority.as_str().contains('@') {
            return Err(InvalidBaseUrl::UserInfo);
        }
        check::host(authority.host())?;
        check::port(&authority)?;
        if scheme == Scheme::HTTP {
            if !check::is_loopback(authority.host()) {
                return Err(InvalidBaseUrl::PlainHttp);
            }
        } else if scheme != Scheme::HTTPS {
            return Err(InvalidBaseUrl::Scheme);
        }
        let path = parts.path_and_query.as_ref().map_or("/", |path| {
            if path.query().is_some() {
                "?"
            } else {
                path.path()
            }
        });
        Ok(Self {
            scheme,
            authority,
            path: check::path(path, Self::DEFAULT_PATH)?,
        })
    }
}

impl TryFrom<&str> for BaseUrl {
    type Error = InvalidBaseUrl;

    fn try_from(url: &str) -> Result<Self, Self::Error> {
        url.parse()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> InvalidBaseUrl {
        url.parse::<BaseUrl>().expect_err(url)
    }

    #[test]
    fn what_would_send_the_key_astray_is_refused() {
        use InvalidBaseUrl as E;
        assert_eq!(error(""), E::Empty);
        for url in [
            "https://a b",
            " https://a",
            "https://a/v1\n",
            "https://a/\u{a0}",
        ] {
            assert_eq!(error(url), E::WhiteSpace);
        }
        assert_eq!(error("https://\u{e9}.example"), E::Syntax);
        assert_eq!(
            error(&format!("https://a/{}", "b".repeat(2048))),
            E::TooLong
        );
        assert_eq!(error("api.clerk.com"), E::NotAbsolute);
        assert_eq!(error("/v1"), E::NotAbsolute);
        assert_eq!(error("ftp://api.clerk.com"), E::Scheme);
        assert_eq!(error("http://api.clerk.com"), E::PlainHttp);
        assert_eq!(error("http://localhost.evil"), E::PlainHttp);
        assert_eq!(error("https://user:marker@api.clerk.com"), E::UserInfo);
        assert_eq!(error("https://api.clerk.com/v1?a=b"), E::Query);
        assert_eq!(error("https://api.clerk.com/v1#f"), E::Fragment);
        assert_eq!(error("https://api.clerk.com:0/v1"), E::Port);
        for url in ["https://a:99999/v1", "https://a:/v1", "https://a:+80/v1"] {
            assert!(url.parse::<BaseUrl>().is_err(), "{url}");
        }
        for path in ["/../x", "/v1/..", "/%2e%2E/x", "/./x", "//x", "/v1\\x"] {
            assert!(
                format!("https://api.clerk.com{path}")
                    .parse::<BaseUrl>()
                    .is_err(),
                "{path}"
            );
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        let long = format!("https://{}.example", "a".repeat(64));
        for url in [
            "https://a[]9999/",
            "https://[]/",
            "https://[1.2.3.4]/",
            "https://[::1]x/",
            "https://a..b/",
            "https://.a/",
            "https://a!b/",
            "https://:443/",
            &long,
        ] {
            assert!(url.parse::<BaseUrl>().is_err(), "{url}");
        }
        for url in [
            "https://[2001:db8::1]:8443/x",
            "https://10.0.0.1",
            "https://a_b-c.example",
        ] {
            assert!(url.parse::<BaseUrl>().is_ok(), "{url}");
        }
    }

    #[test]
    fn the_path_is_completed_and_trimmed() {
        for (given, shown) in [
            ("https://api.clerk.com", "https://api.clerk.com/v1"),
            ("https://api.clerk.com/", "https://api.clerk.com/v1"),
            ("https://api.clerk.com/v1/", "https://api.clerk.com/v1"),
            (
                "https://gate.example/clerk/api//",
                "https://gate.example/clerk/api",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
            ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
            ("http://localhost", "http://localhost/v1"),
        ] {
            assert_eq!(given.parse::<BaseUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn authorities_are_compared_with_their_default_ports() {
        let base = BaseUrl::default();
        assert!(base.is_authority_of(&"https://API.clerk.com:443/v9".parse().unwrap()));
        assert!(!base.is_authority_of(&"https://api.clerk.com:444/v1".parse().unwrap()));
        assert!(!base.is_authority_of(&"http://api.clerk.com/v1".parse().unwrap()));
        assert!(!base.is_authority_of(&"https://evil@api.clerk.com/v1".parse().unwrap()));
        assert!(!base.is_authority_of(&"/v1".parse().unwrap()));
    }
}
