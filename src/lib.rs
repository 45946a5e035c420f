//! Tower middleware and a layered client stack for Clerk's actor tokens, the credentials with which
//! support staff sign in as a customer.
//!
//! Clerk's API has two operations: create a token and revoke it. Here each concern of calling them (auth
//! header, retry, timeouts, error decoding, JSON, …) is a separate [`tower_layer::Layer`]; together they
//! make a `Service<ActorTokenRequest, Response = ActorToken>`. [`Client`] is that stack behind one type.
//! You insert layers of your own at named places, leave ours out, or swap the transport.
//!
//! ```
//! use clerk_actor_tokens::{Actor, Client, CreateActorToken, Ticket};
//! # #[cfg(feature = "sandbox")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = clerk_actor_tokens::sandbox::Sandbox::new();
//! # let server = sandbox.spawn().await?;
//! # let (key, base_url) = (sandbox.secret_key(), server.base_url());
//!
//! let client = Client::builder(key).base_url(base_url).build()?; // or Client::from_env()?
//!
//! let token = client.create(CreateActorToken::new("user_subject", Actor::new("user_admin"))).await?;
//! let link = token.ticket().and_then(Ticket::expose_url);
//! # assert!(link.is_some());
//!
//! client.revoke(token.id()).await?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sandbox"))]
//! # fn main() {}
//! ```
//!
//! # The path of a request
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
//! [`layer`] documents each layer; [`ClientBuilder`] configures and assembles them.
//!
//! # Settling
//!
//! Every token that was minted is returned, revoked or reported. A create that is cancelled or times out
//! goes on in the background, and what it mints is revoked. So is a token whose response broke off, and
//! one whose [`Ticket`] is dropped unread. A token that cannot be revoked, or may exist, is reported.
//! [`SettleLayer`](layer::SettleLayer) has the details and what is not promised; [`Lease`] also revokes a
//! token whose ticket was read; [`Client::drain`] waits for all of it.
//!
//! # Outcomes
//!
//! There is no idempotency key and no way to list tokens: a create that is sent twice may mint two
//! live sign-in links. So every [`Error`] says by its [`Outcome`] whether the operation may have
//! taken effect, and a create is sent again only when the attempt before provably had no effect. The
//! proof holds for every transport: a [`Body`] that no transport took was not sent.
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `ring` | yes | the default transport, with ring's cryptography |
//! | `aws-lc-rs` | | the default transport, with AWS-LC's cryptography, unless `ring` is on, too |
//! | `webpki-roots` | yes | the default transport, trusting Mozilla's root certificates |
//! | `native-roots` | | the default transport, trusting the system's root certificates, too |
//! | `proxy` | | the default transport, through a proxy if one is configured |
//! | `transport` | by the above | `PooledTransport`, the default, and one over hyper-util's client |
//! | `metrics` | | calls and attempts measured by the facade of the crate `metrics` |
//! | `server` | | `server::ActorTokensApi`: the wire protocol over any `Service<ActorTokenRequest>` |
//! | `sandbox` | | `sandbox::Sandbox`: a stand-in for the API, in process and over TCP |
//!
//! To be built, the default transport needs one of `ring` and `aws-lc-rs`, **and** one of `webpki-roots` and
//! `native-roots`.
//!
//! Without the default features the types and layers come without hyper and without TLS, and a client is
//! built [over](ClientBuilder::over) a transport of your own:
//!
//! ```
//! use clerk_actor_tokens::{Body, BoxError, ClientBuilder, SecretKey};
//!
//! async fn send(request: http::Request<Body>) -> Result<http::Response<String>, BoxError> {
//!     // … by an HTTP client of your own …
//!     Err(format!("nothing sends {} {}", request.method(), request.uri()).into())
//! }
//!
//! # fn main() -> Result<(), BoxError> {
//! let key = SecretKey::new("sk_test_1")?;
//! let client = ClientBuilder::over(key, tower::service_fn(send)).build()?;
//! # let _ = client;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
// All output goes to `tracing`, where users can turn it off and tests search it for secrets.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)]

pub mod client;
#[cfg(all(doc, feature = "transport"))]
pub mod guide;
pub mod layer;
#[cfg(feature = "sandbox")]
pub mod sandbox;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "transport")]
pub mod transport;

mod actor_token;
mod actor_token_id;
mod base_url;
mod body;
mod call;
mod clerk_errors;
mod error;
mod key_source;
mod lenient;
mod outcome;
mod request;
mod response_head;
mod retry_config;
mod secret_key;
mod settle_end;
mod telemetry;
mod text;
mod token_response;

#[cfg(feature = "metrics")]
pub use self::telemetry::describe_metrics;
pub use self::{
    actor_token::{ActorToken, ActorTokenStatus, InvalidActorToken, Ticket},
    actor_token_id::{ActorTokenId, InvalidActorTokenId},
    base_url::{BaseUrl, InvalidBaseUrl},
    body::{Body, OperationKind, Payload, Withdrawn},
    call::CallWatch,
    clerk_errors::{ClerkError, ClerkErrors},
    client::{Client, ClientBuilder, ConfigError, Lease},
    error::{BoxError, Error, ErrorKind},
    key_source::{KeyProvider, KeySource, RotatingKey},
    outcome::Outcome,
    request::{Actor, ActorTokenRequest, CreateActorToken, InvalidRequest, Operation},
    retry_config::RetryConfig,
    secret_key::{InvalidSecretKey, SecretKey},
    token_response::TokenResponse,
};

/// Compiles the code blocks of the README.
#[cfg(all(doctest, feature = "transport"))]
#[doc = include_str!("../README.md")]
struct Readme;
