//! Tower middleware and a layered client stack for Clerk's actor tokens.

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
mod outcome;
mod request;
mod retry_config;
mod secret_key;
mod text;

pub use self::{
    actor_token::{ActorToken, ActorTokenStatus, InvalidActorToken, Ticket},
    actor_token_id::{ActorTokenId, InvalidActorTokenId},
    base_url::{BaseUrl, InvalidBaseUrl},
    body::{Body, Intent},
    clerk_errors::{ClerkError, ClerkErrors},
    client::{Client, ClientBuilder, ConfigError},
    error::{BoxError, Error, ErrorKind},
    outcome::Outcome,
    request::{Actor, ActorTokenRequest, CreateActorToken, InvalidRequest, Operation},
    retry_config::RetryConfig,
    secret_key::{InvalidSecretKey, SecretKey},
};
