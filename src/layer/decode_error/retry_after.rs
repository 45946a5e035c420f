//! `Retry-After` in both forms, read leniently.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderValue,
    header::{DATE, RETRY_AFTER},
};

/// How long to wait: seconds, or a date relative to the answer's `Date`. Of several the largest
/// counts; what cannot be read is ignored.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| wait_of(value, headers))
        .max()
}

fn wait_of(value: &HeaderValue, headers: &HeaderMap) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let now = headers
        .get(DATE)
        .and_then(date)
        .unwrap_or_else(SystemTime::now);
    Some(at.duration_since(now).unwrap_or_default())
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(
            DATE,
            HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"),
        );
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        }
        wait(&headers)
    }

    #[test]
    fn both_forms_are_read() {
        assert_eq!(of(&["0"]), Some(Duration::ZERO));
        assert_eq!(of(&["5"]), Some(Duration::from_secs(5)));
        for date in [
            "Sun, 06 Nov 1994 08:49:47 GMT",
            "Sunday, 06-Nov-94 08:49:47 GMT",
            "Sun Nov  6 08:49:47 1994",
        ] {
            assert_eq!(of(&[date]), Some(Duration::from_secs(10)), "{date}");
        }
        assert_eq!(of(&["Sun, 06 Nov 1994 08:49:00 GMT"]), Some(Duration::ZERO));
        assert!(of(&["Fri, 31 Dec 9999 23:59:59 GMT"]).unwrap() > Duration::from_secs(1 << 30));
    }

    #[test]
    fn of_several_the_largest_counts() {
        assert_eq!(of(&["1", "x", "7", "3"]), Some(Duration::from_secs(7)));
    }

    #[test]
    fn what_cannot_be_read_is_ignored() {
        let digits = "9".repeat(1 << 20);
        for odd in [
            "-5",
            "+5",
            "5.5",
            "5;q=1",
            "",
            "soon",
            "18446744073709551616",
            &digits,
            "Wed, 30 Feb 1994 08:49:37 GMT",
        ] {
            assert_eq!(of(&[odd]), None, "{:?}", odd.get(..9));
        }
        assert_eq!(of(&[]), None);
    }
}
