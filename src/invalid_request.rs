//! [`InvalidRequest`], the error of an invalid request.

use std::convert::Infallible;

use http::HeaderName;

use crate::InvalidBaseUrl;

/// The error of an invalid request. The message names a field but does not repeat its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The id of the user to sign in as is empty.
    #[error("user_id is empty: pass the id of the user to sign in as")]
    EmptyUserId,
    /// The actor's `sub` is empty.
    #[error("actor.sub is empty: pass the id of the actor")]
    EmptySub,
    /// A claim of the actor is named `sub`.
    #[error("actor has a claim named \"sub\", which would replace the actor's own")]
    ShadowedSub,
    /// The actor's claims are nested too deeply.
    #[error("actor has claims nested deeper than {limit} levels")]
    DeepClaims {
        /// The deepest nesting that is allowed.
        limit: usize,
    },
    /// A lifetime is not 1 to 2³¹−1 whole seconds.
    #[error("{field} must be whole seconds, at least 1 and at most {max}", max = i32::MAX)]
    Lifetime {
        /// The name of the field in the JSON.
        field: &'static str,
    },
    /// The encoded request is too large.
    #[error("the request body has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// The size of the encoded body in bytes.
        bytes: usize,
        /// The largest size that is allowed, in bytes.
        limit: usize,
    },
    /// Only the client may set this header.
    #[error("the header {name} is set by the client itself and cannot be passed with a call")]
    ReservedHeader {
        /// The name of the header.
        name: HeaderName,
    },
    /// The name of a header is invalid.
    #[error("the name of a header is invalid: use letters, digits and hyphens")]
    HeaderName,
    /// The value of a header is invalid.
    #[error("the value of the header {name} has a character that no header can have")]
    HeaderValue {
        /// The name of the header.
        name: HeaderName,
    },
    /// The base URL of the call is invalid.
    #[error(transparent)]
    BaseUrl(#[from] InvalidBaseUrl),
}

impl From<Infallible> for InvalidRequest {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
