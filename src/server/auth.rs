//! The check of the bearer key.

use std::{fmt, hint::black_box, sync::Arc};

use http::{HeaderMap, StatusCode, header::AUTHORIZATION};

use super::{head::only_value, response::refusal};
use crate::{ClerkError, Error, SecretKey};

/// The callers that are accepted.
#[derive(Clone)]
pub(super) enum Access {
    /// Requests with one of these keys.
    Keys(Arc<[SecretKey]>),
    /// Every request.
    Open,
}

impl Access {
    pub(super) fn with_key(key: SecretKey) -> Self {
        Self::Keys([key].into())
    }

    pub(super) fn and_key(&self, key: SecretKey) -> Self {
        match self {
            Self::Keys(keys) => Self::Keys(keys.iter().cloned().chain([key]).collect()),
            Self::Open => Self::with_key(key),
        }
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        let Self::Keys(keys) = self else {
            return Ok(());
        };
        let entry = match bearer_key(headers) {
            // Every key is compared, so that the time does not show which one is similar.
            Some(key)
                if keys
                    .iter()
                    .fold(false, |found, it| found | is_equal(it, key)) =>
            {
                return Ok(());
            }
            Some(_) => ClerkError::new(
                "clerk_key_invalid",
                "The provided Clerk Secret Key is invalid",
                "The provided Clerk Secret Key is invalid. Make sure that it is the one of this API.",
            ),
            None => ClerkError::new(
                "authorization_header_format_invalid",
                "Invalid Authorization header format",
                "Invalid Authorization header format. Must be \"Bearer <YOUR_API_KEY>\".",
            ),
        };
        Err(refusal(StatusCode::UNAUTHORIZED, entry))
    }
}

/// Returns the key in `Authorization: Bearer …`. Two such headers are refused, because a proxy may
/// have checked either of them.
fn bearer_key(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, key) = only_value(headers, AUTHORIZATION)?.split_at_checked(7)?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty()).then_some(key)
}

/// Compares in a time that depends on the lengths only.
fn is_equal(key: &SecretKey, presented: &[u8]) -> bool {
    let key = key.expose().as_bytes();
    let pairs = key.iter().zip(presented);
    let difference = pairs.fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    key.len() == presented.len() && black_box(difference) == 0
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(keys) => write!(f, "Keys({})", keys.len()),
            Self::Open => f.write_str("Open"),
        }
    }
}
