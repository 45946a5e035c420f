//! The layers, one concern each, in the order in which a request passes them.
//!
//! ```text
//! call level      ActorTokenRequest → ActorToken
//!   TraceCall     one span a call
//!   TypedError    whatever failed below becomes one Error with its outcome
//!   (your call layers)
//!   Timeout       the whole budget of the call, attempts and pauses included
//!   Json          encodes once, decodes a 200 once
//! attempt level   http::Request<Body> → http::Response<Full<Bytes>>
//!   Retry         begins another attempt where that is safe
//!   Trace         one span an attempt, all that is below inside it
//!   DecodeError   every failure of an attempt → one Error with its outcome
//!   Timeout       head and body of one attempt
//!   Settle        what a lost create mints is revoked, or reported
//!   CollectBody   streams → bytes in one piece, up to a limit
//! wire level      http::Request<Body> → http::Response<impl http_body::Body>
//!   BaseUri       "/actor_tokens" → "https://api.clerk.com/v1/actor_tokens"
//!   ApiHeaders    the fixed headers of the API
//!   (your wire layers)
//!   BearerAuth    the key, for the base authority only
//! transport       any Service<http::Request<Body>>
//! ```
//!
//! Each can be used alone, or from [`ClientBuilder`](crate::ClientBuilder) with the client's
//! configuration, and none boxes its future. [`ClientBuilder::service`](crate::ClientBuilder::service)
//! is all of them composed.

pub mod api_headers;
pub mod base_uri;
pub mod bearer_auth;
pub mod collect_body;
pub mod decode_error;
pub mod json;
mod refusal;
pub mod retry;
pub mod settle;
pub mod timeout;
pub mod trace;
pub mod trace_call;
pub mod typed_error;

pub(crate) use self::refusal::no_runtime;
pub use self::{
    api_headers::{ApiHeaders, ApiHeadersLayer, ApiVersion},
    base_uri::{BaseUri, BaseUriLayer},
    bearer_auth::{BearerAuth, BearerAuthLayer},
    collect_body::{CollectBody, CollectBodyLayer},
    decode_error::{DecodeError, DecodeErrorLayer},
    json::{Json, JsonLayer},
    retry::{Retry, RetryLayer},
    settle::{Settle, SettleLayer},
    timeout::{Timeout, TimeoutLayer},
    trace::{Trace, TraceLayer},
    trace_call::{TraceCall, TraceCallLayer},
    typed_error::{TypedError, TypedErrorLayer},
};
