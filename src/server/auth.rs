//! Who may use the API: the check of the bearer key.

use std::{fmt, hint::black_box, sync::Arc};

use http::{HeaderMap, header::AUTHORIZATION};

use super::refusal::Refusal;
use crate::SecretKey;

/// Who is let in.
#[derive(Clone)]
pub(super) enum Access {
    /// Whoever presents one of these keys.
    Keys(Arc<[SecretKey]>),
    /// Everyone.
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

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Self::Keys(keys) = self else {
            return Ok(());
        };
        let presented = bearer(headers).ok_or_else(Refusal::no_bearer)?;
        // No early exit: how long it takes must not tell which key came close.
        let found = keys.iter().fold(false, |found, key| {
            found | is_same(key.expose().as_bytes(), presented)
        });
        if found {
            Ok(())
        } else {
            Err(Refusal::wrong_key())
        }
    }
}

/// The key of the one `Authorization: Bearer …` header. Two of them are none: it could not be told
/// which one somebody further up has checked.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    if values.next().is_some() {
        return None;
    }
    let (scheme, key) = value.split_at_checked(7)?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty()).then_some(key)
}

/// Compares in a time that depends on the lengths only.
fn is_same(key: &[u8], presented: &[u8]) -> bool {
    if key.len() != presented.len() {
        return false;
    }
    let difference = key
        .iter()
        .zip(presented)
        .fold(0, |difference, (a, b)| black_box(difference | (a ^ b)));
    black_box(difference) == 0
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(keys) => write!(f, "Keys({})", keys.len()),
            Self::Open => f.write_str("Open"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn code(access: &Access, values: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        let refusal = access.check(&headers).err()?;
        assert_eq!(refusal.status(), 401);
        Some(refusal.code().into())
    }

    fn key(text: &str) -> SecretKey {
        SecretKey::new(text).unwrap()
    }

    #[test]
    fn every_accepted_key_lets_in_and_no_other() {
        let access = Access::with_key(key("sk_test_1")).and_key(key("sk_test_22"));
        for value in [
            "Bearer sk_test_1",
            "bearer sk_test_22",
            "BEARER  sk_test_1",
            "Bearer sk_test_1 ",
        ] {
            assert_eq!(code(&access, &[value.as_bytes()]), None, "{value}");
        }
        for value in [
            "Bearer sk_test_2",
            "Bearer sk_test_11",
            "Bearer sk_test_",
            "Bearer SK_TEST_1",
            "Bearer sk_test_1, Bearer sk_test_1",
        ] {
            let code = code(&access, &[value.as_bytes()]);
            assert_eq!(code.as_deref(), Some("clerk_key_invalid"), "{value}");
        }
    }

    #[test]
    fn what_is_not_one_bearer_header_is_a_format_error() {
        let access = Access::with_key(key("sk_test_1"));
        let good = b"Bearer sk_test_1".as_slice();
        for values in [
            &[][..],
            &[b"".as_slice()],
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"sk_test_1"],
            &[b"Basic sk_test_1"],
            &[good, good],
        ] {
            let code = code(&access, values);
            let expected = Some("authorization_header_format_invalid");
            assert_eq!(code.as_deref(), expected, "{values:?}");
        }
        assert!(code(&access, &[b"Bearer \xff\xfe"]).is_some());
    }

    #[test]
    fn debug_shows_no_key() {
        let access = Access::with_key(key("sk_test_marker"));
        assert_eq!(format!("{access:?}"), "Keys(1)");
    }
}
