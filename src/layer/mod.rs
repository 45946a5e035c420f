//! The layers, one concern each, in the order in which a request passes them.
//!
//! ```text
//!                      ActorTokenRequest                                    ActorToken | Error
//!                             │                                                   ▲
//!  ── observers ──────────────────────────────────────────────────────────────────────────────────
//!   TraceCall                 │    one span a call
//!   (your observer layers)    │    see Result<ActorToken, Error>; a watch shows cancelled calls too
//!   TypedError                │    any failure below → one Error with its outcome
//!  ── call level: once per call, ActorTokenRequest → ActorToken ──────────────────────────────────
//!   (your call layers)        │    authorization, limits, filters
//!   Timeout  per call         │    the whole budget: readiness, attempts and backoff included
//!   Json                      │    encodes once; decodes a 200 once
//!  ── attempt level: repeated, http::Request<Payload> → http::Response<TokenResponse> ────────────
//!   Retry                     │    tower::retry with our policy: outcome, backoff, Retry-After, budget
//!   (your attempt layers)     │    a retry or a hedge of your own
//!   Trace                     │    one span an attempt
//!   DecodeError               │    any failure of an attempt → one typed Error with its outcome
//!  ── one attempt: http::Request<Body>, which is not Clone ───────────────────────────────────────
//!   Timeout  per attempt      │    head and body
//!   Settle                    │    a lost create goes on in the background; what it mints is revoked
//!   CollectBody               │    streams → bytes, up to a limit
//!  ── wire level: http::Request<Body> → http::Response<impl http_body::Body> ─────────────────────
//!   BaseUri, ApiHeaders       │    where the API is, and its fixed headers
//!   (your wire layers)        │    signing, trace headers, metrics; never see the key
//!   BearerAuth                │    the key, for the base authority only
//!                             ▼
//!   transport: any Service<http::Request<Body>, Response = http::Response<B>>
//! ```
//!
//! Each can be used alone, or from [`ClientBuilder`](crate::ClientBuilder) with the client's
//! configuration. [`ClientBuilder::service`](crate::ClientBuilder::service) is all of them composed.

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

pub(crate) use self::refusal::{is_reserved, no_runtime};
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
