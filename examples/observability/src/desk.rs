//! [`Desk`], a support desk over a sandbox, and the [`Scene`]s that it runs.

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, Client, ClientBuilder, ConfigError, CreateActorToken, Error,
    RetryConfig,
    sandbox::{Fault, Sandbox},
};
use tower::util::MapRequestLayer;
use tracing::Instrument;

use crate::propagation::{self, Receive};

/// Longer than an attempt may take.
const TOO_LONG: Duration = Duration::from_millis(200);

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// A token is minted and its link is read.
    Success,
    /// The first attempt meets a rate limit.
    RateLimited,
    /// A create times out and mints nevertheless. Its token is revoked.
    Timeout,
    /// The response to a revoke is lost, and the next attempt finds the token revoked.
    Convergence,
    /// The ticket of a token is dropped unread, and the token is revoked.
    Unread,
    /// A lease revokes its token at its end.
    Lease,
    /// The response to a create is lost with the id: a token may live that cannot be revoked.
    LostResponse,
    /// The plan has no impersonations left.
    Refused,
}

impl Scene {
    pub const ALL: [Self; 8] = [
        Self::Success,
        Self::RateLimited,
        Self::Timeout,
        Self::Convergence,
        Self::Unread,
        Self::Lease,
        Self::LostResponse,
        Self::Refused,
    ];
}

/// A support desk whose client reaches a sandbox with the context of its traces.
pub struct Desk {
    client: Client,
    sandbox: Sandbox,
}

impl Desk {
    pub fn new(sandbox: Sandbox) -> Result<Self, ConfigError> {
        let transport = Receive(sandbox.transport());
        let client = ClientBuilder::over(sandbox.secret_key(), transport)
            .attempt_timeout(TOO_LONG / 2)
            .retry(RetryConfig::default().initial_interval(Duration::from_millis(10)))
            .wire_layer(MapRequestLayer::new(propagation::inject))
            .build()?;
        Ok(Self { client, sandbox })
    }

    /// Runs a scene in a span of the application, until everything is settled.
    pub async fn play(&self, scene: Scene) -> Result<(), Error> {
        let span = tracing::info_span!("desk", otel.name = ?scene);
        let result = self.act(scene).instrument(span).await;
        self.client.drain(Duration::from_secs(5)).await;
        result
    }

    async fn act(&self, scene: Scene) -> Result<(), Error> {
        match scene {
            Scene::Success | Scene::Refused => self.link().await.map(drop),
            Scene::RateLimited => {
                self.sandbox.inject(Fault::RateLimited {
                    retry_after: Duration::ZERO,
                });
                self.link().await.map(drop)
            }
            Scene::Timeout => {
                self.sandbox.inject(Fault::Delay(TOO_LONG));
                self.link().await.map(drop)
            }
            Scene::Convergence => {
                let id = self.link().await?;
                self.sandbox.inject(Fault::DisconnectAfter);
                self.client.revoke(&id).await.map(drop)
            }
            Scene::Unread => self.mint().await.map(drop),
            Scene::Lease => {
                let lease = self.client.lease(create()).await?;
                let _link = lease.token().expose_url();
                lease.revoke().await
            }
            Scene::LostResponse => {
                self.sandbox.inject(Fault::DisconnectAfter);
                self.link().await.map(drop)
            }
        }
    }

    async fn mint(&self) -> Result<ActorToken, Error> {
        self.client.create(create()).await
    }

    /// Mints a token and reads its link.
    async fn link(&self) -> Result<ActorTokenId, Error> {
        let token = self.mint().await?;
        let _link = token.expose_url();
        Ok(token.id().clone())
    }
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_subject", Actor::new("user_admin"))
        .expires_in(Duration::from_secs(300))
}
