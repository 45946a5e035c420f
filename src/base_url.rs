//! [`BaseUrl`], the address of the API.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use http::{
    Uri,
    uri::{Authority, Parts, Scheme},
};
use serde::{Deserialize, Serialize};

use crate::text::try_from_text;

/// The base URL of the API, such as `https://api.clerk.com/v1`.
///
/// It is HTTPS, or plain HTTP to a loopback host. It has no user information, query, fragment or dot
/// segments. Trailing slashes are removed. The default path is `/v1`. serde reads and writes a string.
///
/// ```
/// use clerk_actor_tokens::BaseUrl;
///
/// assert_eq!(BaseUrl::default().to_string(), "https://api.clerk.com/v1");
/// assert_eq!("https://api.clerk.com".parse::<BaseUrl>()?, BaseUrl::default());
/// assert!("http://api.clerk.com/v1".parse::<BaseUrl>().is_err());
/// # Ok::<(), clerk_actor_tokens::InvalidBaseUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// Begins with a slash and does not end with one.
    pub(crate) path: String,
}

impl BaseUrl {
    pub(crate) const DEFAULT_PATH: &str = "/v1";
    const MAX_LEN: usize = 2048;

    /// Reads a base URL. The default of its path is `path`.
    pub(crate) fn with_default_path(url: &str, path: &str) -> Result<Self, InvalidBaseUrl> {
        use InvalidBaseUrl as Invalid;

        let refuse_if = |is_wrong: bool, error| match is_wrong {
            true => Err(error),
            false => Ok(()),
        };
        refuse_if(url.is_empty(), Invalid::Empty)?;
        refuse_if(url.len() > Self::MAX_LEN, Invalid::TooLong)?;
        refuse_if(url.contains(char::is_whitespace), Invalid::WhiteSpace)?;
        refuse_if(url.contains('#'), Invalid::Fragment)?;
        let uri: Uri = url.parse().map_err(|_| Invalid::Syntax)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(Invalid::NotAbsolute);
        };
        let host = authority.host();
        let (is_http, is_https) = (*scheme == Scheme::HTTP, *scheme == Scheme::HTTPS);
        refuse_if(has_user_info(authority), Invalid::UserInfo)?;
        refuse_if(!is_host(host), Invalid::Host)?;
        refuse_if(!has_right_port(authority), Invalid::Port)?;
        refuse_if(is_http && !is_loopback(host), Invalid::PlainHttp)?;
        refuse_if(!is_http && !is_https, Invalid::Scheme)?;
        refuse_if(uri.query().is_some(), Invalid::Query)?;
        let path = match uri.path().trim_end_matches('/') {
            "" => path,
            path if is_path(path) => path,
            _ => return Err(Invalid::Path),
        };
        Ok(Self {
            path: path.into(),
            scheme: scheme.clone(),
            authority: authority.clone(),
        })
    }

    /// Returns whether `other` has the same scheme, host and port. A missing port is the scheme's default.
    pub fn has_same_authority(&self, other: &Self) -> bool {
        self.has_authority(&other.scheme, &other.authority)
    }

    /// Returns whether `uri` has the same scheme, host and port, and no user information.
    pub(crate) fn is_authority_of(&self, uri: &Uri) -> bool {
        match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) => self.has_authority(scheme, authority),
            _ => false,
        }
    }

    /// Returns whether scheme, host and port are the same. This base URL has no user information.
    fn has_authority(&self, scheme: &Scheme, authority: &Authority) -> bool {
        // Comparing the parts takes 1,500 instructions, and mostly the texts are equal.
        let is_same_text = self.authority.as_str() == authority.as_str();
        let is_same = || {
            !has_user_info(authority)
                && self.authority.host().eq_ignore_ascii_case(authority.host())
                && port(&self.scheme, &self.authority) == port(scheme, authority)
        };
        self.scheme == *scheme && (is_same_text || is_same())
    }

    /// Returns the host, an address without brackets, and the port.
    pub(crate) fn server(&self) -> (&str, u16) {
        let host = self.authority.host();
        let host = without_brackets(host).unwrap_or(host);
        (host, port(&self.scheme, &self.authority))
    }

    /// Returns the URI of `path`, which begins with a slash, under this base URL.
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
        Self::with_default_path(url, Self::DEFAULT_PATH)
    }
}

fn has_user_info(authority: &Authority) -> bool {
    authority.as_str().contains('@')
}

/// Returns whether the host is an IP address or a DNS name. `Authority` accepts more.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    match without_brackets(host) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.len() <= 253 && host.split('.').all(is_label),
    }
}

fn without_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// Returns whether `authority` has no port, or one from 1 to 65535. `Authority` accepts others and then
/// reports none.
pub(crate) fn has_right_port(authority: &Authority) -> bool {
    let text = authority.as_str();
    match text.get(authority.host().len()..).unwrap_or_default() {
        "" => true,
        port => port.strip_prefix(':').is_some_and(|port| {
            !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0)
        }),
    }
}

/// Returns whether no segment of the path is empty or a dot segment, plain or percent-encoded.
fn is_path(path: &str) -> bool {
    let is_plain = |segment: &str| {
        let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
        !matches!(decoded.as_str(), "" | "." | "..")
    };
    let allowed = |byte: u8| byte != b'\\' && byte.is_ascii_graphic();
    path.split('/').skip(1).all(is_plain) && path.bytes().all(allowed)
}

fn is_loopback(host: &str) -> bool {
    let address = without_brackets(host).unwrap_or(host).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

try_from_text!(BaseUrl, InvalidBaseUrl);

impl From<BaseUrl> for String {
    fn from(url: BaseUrl) -> Self {
        url.to_string()
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

/// The error of a text that is not a [`BaseUrl`]. The message does not repeat the text, which may hold a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBaseUrl {
    /// The text is empty.
    #[error("the base URL is empty")]
    Empty,
    /// White space, such as the line break at the end of a file.
    #[error("the base URL must not have white space, in it or around it")]
    WhiteSpace,
    /// Longer than 2 KiB.
    #[error("the base URL has at most 2048 bytes")]
    TooLong,
    /// The text is not a URL.
    #[error("the base URL is not a URL of ASCII characters")]
    Syntax,
    /// The scheme or the host is missing.
    #[error("the base URL needs a scheme and a host, like https://api.clerk.com/v1")]
    NotAbsolute,
    /// A scheme other than `https` (or `http` to a loopback host).
    #[error("the base URL must start with https://")]
    Scheme,
    /// Plain HTTP to a host beyond loopback.
    #[error("the base URL must start with https://, plain http:// is accepted for loopback only")]
    PlainHttp,
    /// A user name or password.
    #[error("the base URL must not have a user name or password")]
    UserInfo,
    /// A host that is neither a name nor an address.
    #[error("the host of the base URL is neither a name nor an IP address")]
    Host,
    /// A port that is not a number from 1 to 65535.
    #[error("the port of the base URL must be a number from 1 to 65535")]
    Port,
    /// A query.
    #[error("the base URL must not have a query")]
    Query,
    /// A fragment.
    #[error("the base URL must not have a fragment")]
    Fragment,
    /// Empty or dot segments, or a character that a path cannot have.
    #[error("the path of the base URL must not have empty or dot segments or backslashes")]
    Path,
}
