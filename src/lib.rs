//! Tower middleware and a layered client stack for Clerk's actor tokens, the credentials with which
//! support staff sign in as a customer.
//!
//! Clerk's API has two operations: create a token and revoke it. Each concern (auth header, retry,
//! timeouts, error decoding, JSON, …) is a separate [`tower_layer::Layer`]. Together they make a
//! `Service<ActorTokenRequest, Response = ActorToken>`, and [`Client`] is that stack behind one type. With
//! [`ClientBuilder`] you insert your own layers at named places or replace the transport. [`layer`] shows
//! each layer and the path of a request.
//!
//! ```
//! use clerk_actor_tokens::{Actor, Client, CreateActorToken};
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
//! let link = token.expose_url();
//! # assert!(link.is_some());
//!
//! client.revoke(token.id()).await?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sandbox"))]
//! # fn main() {}
//! ```
//!
//! # Settling
//!
//! Every token that was minted is returned, revoked or reported. A create that is cancelled or times out
//! continues in the background, and its token is revoked. So is a token whose response is incomplete or
//! whose [`Ticket`] is dropped unread. A token that could not be revoked, or may exist, is reported.
//! [`layer::settle`] has the details and the limits. A [`Lease`] also revokes a token whose ticket was
//! read, and [`Client::drain`] waits for every revoke.
//!
//! # Outcomes
//!
//! The API has no idempotency key and cannot list tokens, so a create that is sent twice may mint two live
//! sign-in links. The [`Outcome`] of an [`Error`] says whether the operation may have taken effect, and a
//! create is retried only if the previous attempt provably had none. The proof holds for every transport:
//! a [`Body`] that no transport took was not sent.
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
//! | `blocking` | | `blocking::Client`: for programs without an async runtime |
//! | `metrics` | | calls and attempts measured by the facade of the crate `metrics` |
//! | `sessions` | | `Client::end_impersonation`: ends the session of a token that was accepted |
//! | `server` | | `server::ActorTokensApi`: the wire protocol over any `Service<ActorTokenRequest>` |
//! | `sandbox` | | `sandbox::Sandbox`: a replacement of the API for tests, in process and over TCP |
//!
//! The default transport needs one of `ring` and `aws-lc-rs` **and** one of `webpki-roots` and
//! `native-roots`. Without the default features the crate does not depend on hyper's client and TLS, and
//! [`ClientBuilder::over`] builds a client over your transport.

#![cfg_attr(docsrs, feature(doc_cfg))]
// All output goes to `tracing`, where users can turn it off and tests search it for secrets.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)]

#[cfg(feature = "blocking")]
pub mod blocking;
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
mod invalid_request;
mod key_source;
mod lenient;
mod outcome;
mod request;
mod response_head;
mod retry_config;
mod secret_key;
#[cfg(feature = "sessions")]
mod sessions;
mod settle_end;
mod telemetry;
mod text;
mod token_response;

#[doc(inline)]
pub use self::client::{Client, ClientBuilder, ConfigError, Lease};
#[cfg(feature = "sessions")]
pub use self::sessions::{EndImpersonationError, Session};
#[cfg(feature = "metrics")]
pub use self::telemetry::describe_metrics;
pub use self::{
    actor_token::{ActorToken, ActorTokenStatus, InvalidActorToken, Ticket},
    actor_token_id::{ActorTokenId, InvalidActorTokenId},
    base_url::{BaseUrl, InvalidBaseUrl},
    body::{Body, OperationKind, Payload, Withdrawn},
    call::CallWatch,
    clerk_errors::{ClerkError, ClerkErrors},
    error::{BoxError, Error, ErrorKind},
    invalid_request::InvalidRequest,
    key_source::{KeyProvider, KeySource, RotatingKey},
    outcome::Outcome,
    request::{Actor, ActorTokenRequest, CreateActorToken, Operation},
    retry_config::RetryConfig,
    secret_key::{InvalidSecretKey, SecretKey},
    token_response::TokenResponse,
};

/// Locks a state that is complete whenever a panic could happen, so that a poisoned one is valid.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Compiles the code blocks of the README.
#[cfg(all(doctest, feature = "transport"))]
#[doc = include_str!("../README.md")]
struct Readme;
