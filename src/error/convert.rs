//! Conversions into [`Error`], so that `?` works where a call is prepared.

use std::convert::Infallible;

use super::{Error, ErrorKind};
use crate::{
    InvalidActorToken, InvalidActorTokenId, InvalidBaseUrl, InvalidRequest, InvalidSecretKey,
    Outcome,
    layer::{api_headers::InvalidApiVersion, refused},
};

macro_rules! invalid_request {
    ($($invalid:ty),*) => {$(
        impl From<$invalid> for Error {
            /// Returns a permanent [`ErrorKind::InvalidRequest`] with outcome [`Outcome::NotSent`].
            fn from(invalid: $invalid) -> Self {
                refused(invalid.to_string())
            }
        }
    )*};
}

invalid_request!(
    InvalidActorTokenId,
    InvalidApiVersion,
    InvalidBaseUrl,
    InvalidRequest,
    InvalidSecretKey
);
#[cfg(feature = "proxy")]
invalid_request!(crate::transport::InvalidProxy);

impl From<InvalidActorToken> for Error {
    /// Returns an [`ErrorKind::UnreadableResponse`] with outcome [`Outcome::Unknown`].
    fn from(invalid: InvalidActorToken) -> Self {
        Self::new(ErrorKind::UnreadableResponse, Outcome::Unknown).with_detail(invalid.to_string())
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
