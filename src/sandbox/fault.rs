//! [`Fault`], a scripted failure on the wire.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header::SERVER};
use http_body_util::Full;

use super::state::too_many_requests;
use crate::{ClerkError, ClerkErrors, server::response};

/// A failure of one request over the wire, see [`Sandbox::inject`](super::Sandbox::inject) and
/// [`Sandbox::faults_by`](super::Sandbox::faults_by).
///
/// The body of the request is always read first. *Applied* means that the operation is carried out
/// before the fault shows: a create mints.
///
/// ```
/// use clerk_actor_tokens::{ClientBuilder, sandbox::{Fault, Sandbox}};
/// use http::StatusCode;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sandbox = Sandbox::new();
/// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build()?;
/// # use clerk_actor_tokens::{Actor, CreateActorToken};
/// let token = client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
///
/// // The revoke is retried. The second attempt revokes the token, and the third finds it revoked.
/// sandbox.inject(Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
/// sandbox.inject(Fault::DisconnectAfter);
/// client.revoke(token.id()).await?;
/// assert_eq!(sandbox.requests(), 4);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Not applied; the response has this status and an error body.
    Status(StatusCode),
    /// Not applied; the response is a 429 with `Retry-After`.
    RateLimited {
        /// The time after which to retry, rounded up to whole seconds on the wire.
        retry_after: Duration,
    },
    /// Applied; the response has this status and an error body.
    StatusAfter(StatusCode),
    /// Not applied; the connection breaks.
    DisconnectBefore,
    /// Applied; the connection breaks without a response.
    DisconnectAfter,
    /// Not applied; no response.
    HangBefore,
    /// Applied; no response.
    HangAfter,
    /// Applied; the response body breaks off after this many bytes, although its `content-length`
    /// announces all of them.
    Truncate(usize),
    /// Applied; the response is a 200 with this body.
    Body(Bytes),
    /// Applied after this time, with the usual response.
    Delay(Duration),
    /// Applied at once, with the usual response after this time.
    DelayAfter(Duration),
    /// Applied; the response body pauses once.
    Pause {
        /// How many bytes come before the pause.
        after: usize,
        /// How long it pauses.
        time: Duration,
    },
    /// Not applied; the response has this status and an HTML page, like those of proxies.
    Html(StatusCode),
}

impl Fault {
    /// Returns the response of a fault that is nothing but a response.
    pub(super) fn response(&self) -> Option<Response<Full<Bytes>>> {
        match self {
            Self::Status(status) => Some(of_status(*status)),
            Self::RateLimited { retry_after } => {
                let errors = ClerkErrors::new(too_many_requests());
                let status = StatusCode::TOO_MANY_REQUESTS;
                Some(response::errors(status, errors, Some(*retry_after)))
            }
            Self::Html(status) => Some(html(*status)),
            _ => None,
        }
    }
}

/// Returns an error body as the API would send it with this status.
pub(super) fn of_status(status: StatusCode) -> Response<Full<Bytes>> {
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

fn html(status: StatusCode) -> Response<Full<Bytes>> {
    let page = format!("<!DOCTYPE html><html><head><title>{status}</title></head></html>");
    let mut response = response::content(status, "text/html; charset=UTF-8", page);
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("cloudflare"));
    if let Ok(ray) = HeaderValue::try_from(format!("{:016x}-FRA", fastrand::u64(..))) {
        headers.insert(HeaderName::from_static("cf-ray"), ray);
    }
    response
}
