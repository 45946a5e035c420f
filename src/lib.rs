//! Tower middleware and a layered client stack for Clerk's actor tokens, the credentials with which
//! support staff sign in as a customer.
//!
//! Clerk's API has two operations: create one, revoke one. Here each concern of calling them (auth
//! header, retry, time-outs, error decoding, JSON, …) is a separate [`tower_layer::Layer`]; together
//! they make a `Service<ActorTokenRequest, Response = ActorToken>`. [`Client`] is that stack behind
//! one type. Layers of your own go in at named places, ours can be left out, the transport can be
//! swapped.
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
//! # The way of one request
//!
//! ```text
//!                      ActorTokenRequest                                    ActorToken | Error
//!                             │                                                   ▲
//!  ── call level: once per call, typed ───────────────────────────────────────────────────────────
//!   TraceCall                 │    one span a call
//!   TypedError                │    whatever failed below: one Error with its outcome
//!   (your call layers)        │    limits, guards, audit: Service<ActorTokenRequest>
//!   Timeout  per call         │    the whole budget, attempts and pauses included
//!   Json                      │    encodes once; decodes a 200 once
//!  ── attempt level: repeated, http::Request<Body> → http::Response<Full<Bytes>> ──────────────────
//!   Retry                     │    decides on the operation and the typed failure
//!   Trace                     │    one span an attempt, all that is below inside it
//!   DecodeError               │    every failure of an attempt → one typed Error with its outcome
//!   Timeout  per attempt      │    head and body
//!   Settle                    │    what a lost create mints is revoked, or reported
//!   CollectBody               │    streams → bytes, up to a limit
//!  ── wire level: http::Request<Body> → http::Response<impl http_body::Body> ──────────────────────
//!   BaseUri, ApiHeaders       │    where the API is, and its fixed headers
//!   (your wire layers)     │    signing, trace headers: on every attempt, never seeing the key
//!   BearerAuth                │    the key, for the base authority only
//!                             ▼
//!   transport: any Service<http::Request<Body>, Response = http::Response<B>>
//! ```
//!
//! [`layer`] has them one by one; [`ClientBuilder`] configures and assembles them.
//!
//! # Every credential that was minted is returned, revoked or reported
//!
//! A create that is cancelled or timed out goes on in the background, and what it mints is revoked; so
//! is a token whose answer broke off, and one whose [`Ticket`] nobody has read when it is dropped. What
//! cannot be revoked or known is reported. [`SettleLayer`](layer::SettleLayer) has the details, and what
//! is not promised; [`Lease`] revokes what was read, too; [`Client::drain`] waits for all of it.
//!
//! # May it have happened?
//!
//! There is no idempotency key and no way to list tokens: a create that is sent twice may mint two
//! live sign-in links. So every [`Error`] says by its [`Outcome`] whether the operation may have
//! taken effect, and a create is sent again only when the attempt before provably had none. The
//! proof holds for every transport: a [`Body`] that no transport took cannot have been sent.
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `ring` | yes | the default transport, with ring's cryptography |
//! | `aws-lc-rs` | | the default transport, with AWS-LC's cryptography, unless `ring` is on, too |
//! | `webpki-roots` | yes | the default transport, trusting Mozilla's root certificates |
//! | `native-roots` | | the default transport, trusting the system's root certificates, too |
//! | `proxy` | | the default transport, through a proxy where that is asked for |
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
// What is to be told is told by `tracing`, where it can be turned off and is searched for secrets.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)]

pub mod client;
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
mod guard;
mod key_source;
mod lenient;
mod outcome;
mod request;
mod retry_config;
mod runtime;
mod secret_key;
mod settle_end;
mod sync;
mod telemetry;
mod text;

#[cfg(feature = "metrics")]
pub use self::telemetry::describe_metrics;
pub use self::{
    actor_token::{ActorToken, ActorTokenStatus, InvalidActorToken, Ticket},
    actor_token_id::{ActorTokenId, InvalidActorTokenId},
    base_url::{BaseUrl, InvalidBaseUrl},
    body::{Body, OperationKind, Withdrawn},
    clerk_errors::{ClerkError, ClerkErrors},
    client::{Client, ClientBuilder, ConfigError, Lease},
    error::{BoxError, Error, ErrorKind},
    key_source::{KeyProvider, KeySource, RotatingKey},
    outcome::Outcome,
    request::{Actor, ActorTokenRequest, CreateActorToken, InvalidRequest, Operation},
    retry_config::RetryConfig,
    secret_key::{InvalidSecretKey, SecretKey},
};

/// Compiles the code blocks of the README.
#[cfg(all(doctest, feature = "transport"))]
#[doc = include_str!("../README.md")]
struct Readme;
