//! The layers, one concern each, in the order in which a request passes them.
//!
//! ```text
//!                      ActorTokenRequest                                    ActorToken | Error
//!                             │                                                   ▲
//!  ── observers ──────────────────────────────────────────────────────────────────────────────────
//!   TraceCall                 │    one span a call
//!   (your observer layers)    │    see Result<ActorToken, Error>; a CallWatch shows cancelled calls too
//!   TypedError                │    any failure below → one Error with its outcome
//!  ── call level: once per call, ActorTokenRequest → ActorToken ──────────────────────────────────
//!   (your call layers)        │    authorization, limits, filters
//!   Timeout  per call         │    readiness, all attempts and backoff
//!   Json                      │    encodes once; decodes a 200 once
//!  ── attempt level: repeated, http::Request<Payload> → http::Response<TokenResponse> ────────────
//!   Retry                     │    decides by outcome; backoff, Retry-After, retry budget
//!   (your attempt layers)     │    your own retry or hedge
//!   Trace                     │    one span an attempt
//!   DecodeError               │    any failure of an attempt → one typed Error with its outcome
//!  ── one attempt: http::Request<Body>, which is not Clone ───────────────────────────────────────
//!   Timeout  per attempt      │    head and body
//!   Settle                    │    a dropped create goes on in the background; its token is revoked
//!   CollectBody               │    streams → bytes, up to a limit
//!  ── wire level: http::Request<Body> → http::Response<impl http_body::Body> ─────────────────────
//!   BaseUri, ApiHeaders       │    the address of the API, and its fixed headers
//!   (your wire layers)        │    signing, trace headers, metrics; never see the key
//!   BearerAuth                │    the key, for the base authority only
//!                             ▼
//!   transport: any Service<http::Request<Body>, Response = http::Response<B>>
//! ```
//!
//! Use each alone, or from a [`ClientBuilder`](crate::ClientBuilder) with the client's configuration.
//! [`ClientBuilder::service`](crate::ClientBuilder::service) composes all of them.

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

pub(crate) use self::refusal::{is_reserved, no_runtime, refused};
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
