//! The ways to make a call.

use std::{fmt, hint::black_box, str::FromStr, sync::Arc, time::Duration};

use clerk_actor_tokens::{
    Actor, Client, CreateActorToken, RetryConfig, SecretKey,
    layer::SettleLayer,
    transport::{HyperTransport, TransportConfig},
};
use clerk_rs::{
    apis::{actor_tokens_api, configuration::Configuration},
    clerk::{CLERK_API_VERSION, USER_AGENT},
    models::{CreateActorTokenRequest, CreateActorTokenRequestActor},
};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};

use crate::{
    ADMIN_ID, Endpoints, Error, LIFE_SECONDS, Protocol, SECRET_KEY, USER_ID, bare, hand_written,
    over_reqwest,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    Ours,
    /// With `HyperTransport`.
    OursOverClient,
    HandWritten,
    Reqwest,
    ClerkRs,
    /// Without timeouts, retries and settling.
    OursSwitchedOff,
    /// The lowest possible cost.
    Bare,
}

pub const PEERS: [PeerKind; 5] = [
    PeerKind::Ours,
    PeerKind::OursOverClient,
    PeerKind::HandWritten,
    PeerKind::Reqwest,
    PeerKind::ClerkRs,
];

/// Lower bounds for this crate.
pub const FLOORS: [PeerKind; 2] = [PeerKind::OursSwitchedOff, PeerKind::Bare];

impl PeerKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "clerk-actor-tokens",
            Self::OursOverClient => "with HyperTransport",
            Self::HandWritten => "hyper-util",
            Self::Reqwest => "reqwest",
            Self::ClerkRs => "clerk-rs",
            Self::OursSwitchedOff => "all switched off",
            Self::Bare => "hyper and JSON alone",
        }
    }

    /// Returns peers and floors.
    pub fn measured() -> impl Iterator<Item = Self> {
        PEERS.into_iter().chain(FLOORS)
    }
}

impl fmt::Display for PeerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PeerKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::measured().find(|it| it.name() == text);
        found.ok_or_else(|| format!("unknown peer {text}").into())
    }
}

/// A client with its own connections.
pub struct Peer(Inner);

enum Inner {
    Ours(Client),
    HandWritten(hand_written::Client),
    Reqwest(over_reqwest::Client),
    ClerkRs(Configuration),
    Bare(bare::Client),
}

impl Peer {
    pub fn new(kind: PeerKind, endpoints: &Endpoints, protocol: Protocol) -> Result<Self, Error> {
        let base_url = endpoints.base_url(protocol);
        Ok(Self(match kind {
            PeerKind::Bare => Inner::Bare(bare::Client::new(&base_url, tls(endpoints)?, protocol)?),
            PeerKind::Ours | PeerKind::OursSwitchedOff => {
                let mut builder = Client::builder(SecretKey::new(SECRET_KEY)?)
                    .base_url(base_url.as_str())
                    .root_certificate_der(endpoints.certificate.clone());
                if kind == PeerKind::OursSwitchedOff {
                    builder = builder
                        .call_timeout(Duration::MAX)
                        .attempt_timeout(Duration::MAX)
                        .retry(RetryConfig::default().max_attempts(1))
                        .settle(SettleLayer::disabled());
                }
                Inner::Ours(builder.build()?)
            }
            PeerKind::OursOverClient => {
                let config =
                    TransportConfig::default().root_certificate_der(endpoints.certificate.clone());
                Inner::Ours(
                    Client::builder(SecretKey::new(SECRET_KEY)?)
                        .base_url(base_url.as_str())
                        .transport(HyperTransport::new(&config)?)
                        .build()?,
                )
            }
            PeerKind::HandWritten => {
                Inner::HandWritten(hand_written::Client::new(base_url, tls(endpoints)?))
            }
            PeerKind::Reqwest => Inner::Reqwest(over_reqwest::Client {
                http: reqwest(endpoints)?.build()?,
                base_url,
            }),
            PeerKind::ClerkRs => {
                // Like `Configuration::new`, except for the trusted certificate.
                let headers = [("clerk-api-version".parse()?, CLERK_API_VERSION.parse()?)];
                let client = reqwest(endpoints)?
                    .default_headers(headers.into_iter().collect())
                    .build()?;
                Inner::ClerkRs(Configuration {
                    base_path: base_url,
                    user_agent: Some(USER_AGENT.to_owned()),
                    client,
                    basic_auth: None,
                    oauth_access_token: None,
                    bearer_access_token: Some(SECRET_KEY.to_owned()),
                    api_key: None,
                    api_version: Some(CLERK_API_VERSION.to_owned()),
                })
            }
        }))
    }

    /// Creates a token and reads its link.
    pub async fn create(&self) -> Result<(), Error> {
        match &self.0 {
            Inner::Bare(client) => client.create().await?,
            Inner::Ours(client) => {
                let create = CreateActorToken::new(USER_ID, Actor::new(ADMIN_ID))
                    .expires_in(Duration::from_secs(LIFE_SECONDS));
                let token = client.create(create).await?;
                black_box(token.expose_url());
            }
            Inner::HandWritten(client) => {
                let token = client.create().await?;
                black_box(token.url.as_deref());
            }
            Inner::Reqwest(client) => {
                let token = client.create().await?;
                black_box(token.url.as_deref());
            }
            Inner::ClerkRs(configuration) => {
                let actor = CreateActorTokenRequestActor::new(ADMIN_ID.to_owned());
                let mut create = CreateActorTokenRequest::new(USER_ID.to_owned(), actor);
                create.expires_in_seconds = i32::try_from(LIFE_SECONDS).ok();
                let token =
                    actor_tokens_api::create_actor_token(configuration, Some(create)).await?;
                black_box(token.url.as_deref());
            }
        }
        Ok(())
    }
}

/// Trusts only the server's certificate.
fn tls(endpoints: &Endpoints) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_slice(&endpoints.certificate))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn reqwest(endpoints: &Endpoints) -> Result<reqwest::ClientBuilder, Error> {
    // The same cryptography for all peers. Fails if it is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = reqwest::Certificate::from_der(&endpoints.certificate)?;
    Ok(reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([certificate]))
}
