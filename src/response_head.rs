//! [`ResponseHead`], what the head of a response says besides its body.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{DATE, RETRY_AFTER},
    response,
};

use crate::text::presentable;

/// What the head of a response says besides its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    /// How long to wait before the next attempt. Not read from a 200.
    pub(crate) retry_after: Option<Duration>,
    /// The trace id. Not read from a 200.
    pub(crate) trace_id: Option<String>,
}

impl From<&response::Parts> for ResponseHead {
    fn from(parts: &response::Parts) -> Self {
        let is_ok = parts.status == StatusCode::OK;
        Self {
            status: parts.status,
            retry_after: (!is_ok).then(|| retry_after(&parts.headers)).flatten(),
            trace_id: (!is_ok).then(|| trace_id(&parts.headers)).flatten(),
        }
    }
}

/// Returns the trace id in the headers: `Clerk-Trace-Id`, else `cf-ray`.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<String> {
    ["clerk-trace-id", "cf-ray"].into_iter().find_map(|name| {
        let value = headers.get(name)?.to_str().ok()?.trim_ascii();
        (!value.is_empty()).then(|| presentable(value))
    })
}

/// Returns how long to wait: seconds, or a date relative to the response's `Date`. Of several values
/// the largest counts; invalid values are ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| wait(value, headers))
        .max()
}

fn wait(value: &HeaderValue, headers: &HeaderMap) -> Option<Duration> {
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
        retry_after(&headers)
    }

    #[test]
    fn seconds_and_dates_are_read() {
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
    fn largest_of_several_values_counts() {
        assert_eq!(of(&["1", "x", "7", "3"]), Some(Duration::from_secs(7)));
    }

    #[test]
    fn invalid_values_are_ignored() {
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
