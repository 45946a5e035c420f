//! [`InvalidBaseUrl`], why a text is not a base URL.

/// Why a text is not a [`BaseUrl`](crate::BaseUrl). The text itself is not repeated, since it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBaseUrl {
    /// Nothing at all.
    #[error("the base URL is empty")]
    Empty,
    /// White space, be it the line break at the end of a file.
    #[error("the base URL must not have white space, not even around it")]
    WhiteSpace,
    /// Longer than 2 KiB.
    #[error("the base URL has at most 2048 bytes")]
    TooLong,
    /// Not a URL at all.
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
    /// Empty or dot segments, or a character that does not belong in a path.
    #[error("the path of the base URL must not have empty or dot segments or backslashes")]
    Path,
}
