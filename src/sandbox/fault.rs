//! [`Fault`], what can go wrong on the wire.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, SERVER},
};
use http_body_util::Full;

use super::config;
use crate::{ClerkError, ClerkErrors, server::answer};

/// What a request over the wire is to meet, see [`Sandbox::inject`](super::Sandbox::inject) and
/// [`Sandbox::faults_by`](super::Sandbox::faults_by).
///
/// In all of them the body of the request is read. *Applied* means that the operation is carried out
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
/// // A revoke is tried again; the third attempt finds the token revoked by the second.
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
    /// Answered with this status and an error body; nothing is applied.
    Status(StatusCode),
    /// Answered with 429 and `Retry-After`; nothing is applied.
    RateLimited {
        /// The time after which to try again, rounded up to whole seconds on the wire.
        retry_after: Duration,
    },
    /// Applied, then answered with this status and an error body.
    StatusAfter(StatusCode),
    /// The connection breaks; nothing is applied.
    DisconnectBefore,
    /// Applied, then the connection breaks without an answer.
    DisconnectAfter,
    /// Never answered; nothing is applied.
    HangBefore,
    /// Applied, then never answered.
    HangAfter,
    /// Applied; the body of the answer breaks off after this many bytes, although its
    /// `content-length` announces all of them.
    Truncate(usize),
    /// Applied; answered with 200 and this body.
    Body(Bytes),
    /// Applied and answered as usual, but only after this time.
    Delay(Duration),
    /// Applied at once, and answered as usual after this time.
    DelayAfter(Duration),
    /// Applied; the body of the answer rests for this time after so many bytes, and then goes on.
    Pause {
        /// The bytes that come before.
        after: usize,
        /// How long it rests.
        time: Duration,
    },
    /// Answered with this status and a page of HTML, as proxies do; nothing is applied.
    Html(StatusCode),
}

impl Fault {
    /// The answer of a fault that needs nothing but an answer.
    pub(super) fn answer(&self) -> Option<Response<Full<Bytes>>> {
        match self {
            Self::Status(status) => Some(of_status(*status)),
            Self::RateLimited { retry_after } => {
                let errors = ClerkErrors::new(config::too_many_requests());
                let status = StatusCode::TOO_MANY_REQUESTS;
                Some(answer::errors(status, errors, Some(*retry_after)))
            }
            Self::Html(status) => Some(html(*status)),
            _ => None,
        }
    }
}

/// An error body as the API would send it under this status.
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
    let entry = ClerkError::new(code, message, "The sandbox was told to answer like this.");
    answer::errors(status, ClerkErrors::new(entry), None)
}

fn html(status: StatusCode) -> Response<Full<Bytes>> {
    let page = format!("<!DOCTYPE html><html><head><title>{status}</title></head></html>");
    let length = HeaderValue::from(page.len());
    let mut response = Response::new(Full::from(page));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static("text/html; charset=UTF-8");
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(SERVER, HeaderValue::from_static("cloudflare"));
    if let Ok(ray) = HeaderValue::try_from(format!("{:016x}-FRA", fastrand::u64(..))) {
        headers.insert(HeaderName::from_static("cf-ray"), ray);
    }
    response
}
