//! [`ResponseHead`], the part of a response head that the crate uses.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{DATE, RETRY_AFTER},
    response,
};

use crate::text::presentable;

/// Of a response other than 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) trace_id: Option<String>,
}

impl From<&response::Parts> for ResponseHead {
    fn from(parts: &response::Parts) -> Self {
        Self {
            status: parts.status,
            retry_after: retry_after(&parts.headers),
            trace_id: trace_id(&parts.headers),
        }
    }
}

/// Returns the value of `Clerk-Trace-Id`, else `cf-ray`.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<String> {
    ["clerk-trace-id", "cf-ray"].into_iter().find_map(|name| {
        let value = headers.get(name)?.to_str().ok()?.trim_ascii();
        (!value.is_empty()).then(|| presentable(value))
    })
}

/// Returns the largest `Retry-After`: seconds, or a date relative to `Date`. Invalid values, zero and
/// dates in the past are ignored, so that a response cannot cause a retry without backoff.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| wait(value, headers))
        .max()
        .filter(|wait| !wait.is_zero())
}

fn wait(value: &HeaderValue, headers: &HeaderMap) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    let now = headers.get(DATE).and_then(|now| date(now.to_str().ok()?));
    let now = now.unwrap_or_else(SystemTime::now);
    Some(date(text)?.duration_since(now).unwrap_or_default())
}
