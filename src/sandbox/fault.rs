//! Scripted failures on the wire.

use std::{future::pending, io, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, SERVER},
};
use tokio::time::sleep;

use super::{SandboxBody, state::too_many_requests};
use crate::{
    ClerkError, ClerkErrors,
    server::{ResponseBody, response},
};

/// A failure of one request over the wire, for [`Sandbox::inject`](super::Sandbox::inject) and
/// [`Sandbox::faults_by`](super::Sandbox::faults_by). It happens after the request was read.
///
/// *Applied* means that the operation takes effect: a create mints a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Not applied; the response has this status and an error body.
    Status(StatusCode),
    /// Not applied; the response is a 429 with `Retry-After`.
    RateLimited {
        /// The value of the header, rounded up to whole seconds.
        retry_after: Duration,
    },
    /// Applied; the response has this status and an error body.
    StatusAfter(StatusCode),
    /// Not applied; the connection is reset.
    DisconnectBefore,
    /// Applied; the connection is reset without a response.
    DisconnectAfter,
    /// Not applied; no response.
    HangBefore,
    /// Applied; no response.
    HangAfter,
    /// Applied; the connection is reset after this many bytes of the response body. Its
    /// `content-length` is that of the whole body.
    Truncate(usize),
    /// Applied; the response is a 200 with this body.
    Body(Bytes),
    /// Applied after this time.
    Delay(Duration),
    /// Applied at once; the response comes after this time.
    DelayAfter(Duration),
    /// Applied; the response body stops for a time.
    Pause {
        /// The number of bytes before it stops.
        after: usize,
        /// How long it stops.
        time: Duration,
    },
    /// Not applied; the response has this status and an HTML page, like a proxy's.
    Html(StatusCode),
}

impl Fault {
    /// Applies the fault to `operation`, which carries the request out.
    pub(super) async fn apply(
        self,
        operation: impl Future<Output = Response<ResponseBody>>,
    ) -> io::Result<Response<SandboxBody>> {
        if let Self::Delay(time) = self {
            sleep(time).await;
        }
        let response = match self {
            Self::Status(_) | Self::RateLimited { .. } | Self::Html(_) => Response::default(),
            Self::DisconnectBefore | Self::HangBefore => Response::default(),
            _ => operation.await,
        };
        let body = response.map(SandboxBody::new);
        let response = match self {
            Self::Status(status) | Self::StatusAfter(status) => of_status(status),
            Self::RateLimited { retry_after } => too_many_requests(retry_after).to_response(),
            Self::Body(body) => response::json(StatusCode::OK, body),
            Self::Html(status) => html(status),
            Self::DisconnectBefore | Self::DisconnectAfter => return Err(disconnected()),
            Self::HangBefore | Self::HangAfter => return pending().await,
            Self::Truncate(len) => return Ok(body.map(|body| body.truncated(len))),
            Self::Pause { after, time } => return Ok(body.map(|body| body.paused(after, time))),
            Self::Delay(_) => return Ok(body),
            Self::DelayAfter(time) => {
                sleep(time).await;
                return Ok(body);
            }
        };
        Ok(response.map(SandboxBody::new))
    }
}

/// Returns an error response like the API's with this status.
fn of_status(status: StatusCode) -> Response<ResponseBody> {
    let code = match status.as_u16() {
        400 => "malformed_request_parameters",
        401 => "authentication_invalid",
        403 => "authorization_invalid",
        404 => "resource_not_found",
        429 => "too_many_requests",
        500 => "internal_clerk_error",
        502 => "bad_gateway",
        503 => "service_unavailable",
        504 => "gateway_timeout",
        _ => "scripted_fault",
    };
    let message = status.canonical_reason().unwrap_or("scripted fault");
    let entry = ClerkError::new(code, message, "This response is a scripted fault.");
    response::errors(status, ClerkErrors::new(entry), None)
}

fn html(status: StatusCode) -> Response<ResponseBody> {
    let page = format!("<!DOCTYPE html><html><head><title>{status}</title></head></html>");
    let mut response = response::json(status, page);
    let headers = response.headers_mut();
    let text_html = HeaderValue::from_static("text/html; charset=UTF-8");
    headers.insert(CONTENT_TYPE, text_html);
    headers.insert(SERVER, HeaderValue::from_static("cloudflare"));
    let ray = HeaderValue::try_from(format!("{:016x}-FRA", fastrand::u64(..)));
    headers.insert("cf-ray", ray.expect("digits make a header value"));
    response
}

pub(super) fn disconnected() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
