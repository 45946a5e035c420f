//! [`Lease`], a token that is revoked when it is dropped.

use std::{fmt, sync::Arc};

use http::HeaderMap;
use tokio::runtime::Handle;

use crate::{
    ActorToken, ActorTokenRequest, Client, CreateActorToken, Error, ErrorKind, Operation, Outcome,
    Ticket,
    actor_token::Guard,
    layer::{
        no_runtime,
        settle::{Origin, TokenGuard, without_body_headers},
    },
};

/// A token that is revoked when this is dropped, even if its ticket was read.
///
/// It suits a credential for the duration of a task, a page or a test. Dropping it revokes the token in
/// the background, like a [lost token](crate::layer::settle), and
/// [`on_settle`](crate::ClientBuilder::on_settle) reports the end. [`revoke`](Self::revoke) is a call with
/// the headers and the base URL of the create.
///
/// ```
/// use std::time::Duration;
/// use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, sandbox::Sandbox};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sandbox = Sandbox::new();
/// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build()?;
/// {
///     let lease = client.lease(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
///     let link = lease.token().expose_url();
///     assert!(link.is_some());
/// }
/// client.drain(Duration::from_secs(5)).await;
/// assert_eq!(sandbox.ledger().revoked().count(), 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "the token is revoked when this is dropped"]
pub struct Lease {
    client: Client,
    token: ActorToken,
    /// The headers of the create, without those that layers add.
    headers: HeaderMap,
    guard: Arc<dyn Guard>,
}

impl Lease {
    pub(crate) async fn begin(client: Client, request: ActorTokenRequest) -> Result<Self, Error> {
        let Operation::Create(create) = request.operation() else {
            let error = Error::new(ErrorKind::InvalidRequest, Outcome::NotSent);
            return Err(error.with_detail("only a create can be leased"));
        };
        let requested = create.lifetime().unwrap_or(CreateActorToken::DEFAULT_LIFE);
        let runtime = Handle::try_current().map_err(|_| no_runtime())?;
        let headers = request.headers().clone();
        let origin = Origin {
            base_url: request.options().and_then(|it| it.base_url.clone()),
            headers: headers.clone(),
            extensions: request.extensions().clone(),
        };
        let mut token = client.send(request).await?;
        // Taken from the ticket, so that reading the ticket does not claim the token. There is none without
        // settling.
        let guard = token.take_guard().unwrap_or_else(|| {
            let settler = Arc::clone(client.settler());
            let id = token.id().clone();
            let lifetime = token.lifetime.unwrap_or(requested);
            Arc::new(TokenGuard::of_token(settler, runtime, id, lifetime, origin))
        });
        Ok(Self {
            client,
            token,
            headers,
            guard,
        })
    }

    /// Returns the token.
    pub fn token(&self) -> &ActorToken {
        &self.token
    }

    /// Returns the credential itself, if the response had one.
    pub fn ticket(&self) -> Option<&Ticket> {
        self.token.ticket()
    }

    /// Ends the lease and keeps the token, which stays live.
    #[must_use = "the token stays live"]
    pub fn keep(self) -> ActorToken {
        self.guard.claim();
        self.token.clone()
    }

    /// Ends the lease, and waits until the token is revoked or has expired.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyAccepted`] when the token was used: a session is live. After any other error
    /// the token is revoked in the background.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the lease: the token is revoked in the background.
    pub async fn revoke(self) -> Result<(), Error> {
        let Some(mut request) = self.guard.revoke_request() else {
            self.guard.claim();
            return Ok(());
        };
        request.headers = without_body_headers(self.headers.clone());
        let (result, is_over) = match self.client.send(request).await {
            Ok(_) => (Ok(()), true),
            Err(error) => match error.kind() {
                ErrorKind::AlreadyRevoked => (Ok(()), true),
                ErrorKind::AlreadyAccepted => (Err(error), true),
                _ => (Err(error), false),
            },
        };
        if is_over {
            self.guard.claim();
        }
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.guard.settle();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
