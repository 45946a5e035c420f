//! The content type of a create.

use http::{HeaderMap, header::CONTENT_TYPE};

use super::refusal::Refusal;

/// Checks that one content type is given and that it is JSON; parameters do not matter.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::not_json());
    };
    let media_type = value.as_bytes().split(|byte| *byte == b';').next();
    match media_type.map(<[u8]>::trim_ascii) {
        Some(it) if it.eq_ignore_ascii_case(b"application/json") => Ok(()),
        _ => Err(Refusal::not_json()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_content_type_is_json_with_or_without_parameters() {
        let is_accepted = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
            }
            check(&headers).is_ok()
        };
        assert!(is_accepted(&["application/json"]));
        assert!(is_accepted(&["Application/JSON ; charset=utf-8"]));
        for values in [
            &[][..],
            &[""],
            &["text/plain"],
            &["application/json5"],
            &["application/x-www-form-urlencoded"],
            &["application/json", "application/json"],
        ] {
            assert!(!is_accepted(values), "{values:?}");
        }
    }
}
