//! [`Lease`], a token that is revoked when it is dropped.

use std::sync::Arc;

use http::HeaderMap;
use tokio::runtime::Handle;

use crate::{
    ActorToken, ActorTokenRequest, Client, Error, ErrorKind, Operation, Outcome, Ticket,
    actor_token::Guard,
    layer::{
        no_runtime,
        settle::{Origin, TokenGuard, without_body_headers},
    },
};
#[cfg(feature = "sessions")]
use crate::{CreateActorToken, EndImpersonationError, Session};

/// How much earlier than the mint a session may seem to have begun.
#[cfg(feature = "sessions")]
const MAX_SKEW: std::time::Duration = std::time::Duration::from_secs(10);

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
    #[cfg(feature = "sessions")]
    impersonation: Box<(CreateActorToken, Origin)>,
}

impl Lease {
    pub(crate) async fn begin(client: Client, request: ActorTokenRequest) -> Result<Self, Error> {
        let Operation::Create(create) = request.operation() else {
            let error = Error::new(ErrorKind::InvalidRequest, Outcome::NotSent);
            return Err(error.with_detail("only a create can be leased"));
        };
        let requested = create.lifetime_or_default();
        let runtime = Handle::try_current().map_err(|_| no_runtime())?;
        let headers = request.headers().clone();
        let origin = Origin {
            base_url: request.options().and_then(|it| it.base_url.clone()),
            headers: headers.clone(),
            extensions: request.extensions().clone(),
        };
        #[cfg(feature = "sessions")]
        let impersonation = Box::new((create.clone(), origin.clone()));
        let mut token = client.send(request).await?;
        // Taken from the ticket, so that reading the ticket does not claim the token. There is none without
        // settling.
        let guard = token.take_guard().unwrap_or_else(|| {
            let settler = Arc::clone(&client.parts.settler);
            let id = token.id().clone();
            let lifetime = token.lifetime.unwrap_or(requested);
            Arc::new(TokenGuard::of_token(settler, runtime, id, lifetime, origin))
        });
        Ok(Self {
            client,
            token,
            headers,
            guard,
            #[cfg(feature = "sessions")]
            impersonation,
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
        match self.guard.revoke_request() {
            Some(request) => self.revoke_by(request).await,
            None => {
                self.guard.claim();
                Ok(())
            }
        }
    }

    /// Ends the lease and the impersonation: revokes the token, or if it was used, ends its session.
    /// Returns the sessions that were ended: none if the token was not used, or its session was over.
    ///
    /// The API does not say which session a token began. So this ends each live session of the user that
    /// the same actor began since the token was minted, or up to 10 s before, because the clocks of servers
    /// differ. A claim of its own, such as a ticket number, distinguishes the lease from others of the same
    /// actor and user.
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke), apart from a token that was used, and as
    /// [`Client::end_impersonation`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the lease: a token that was not used is revoked in the background. A
    /// session goes on, unless its request was sent.
    #[cfg(feature = "sessions")]
    pub async fn end_session(self) -> Result<Vec<Session>, EndImpersonationError> {
        match self.guard.revoke_request() {
            // It may have been used before it expired.
            None => self.guard.claim(),
            Some(request) => match self.revoke_by(request).await {
                Ok(()) => return Ok(Vec::new()),
                Err(error) if error.kind() == ErrorKind::AlreadyAccepted => {}
                Err(error) => return Err(error.into()),
            },
        }
        let (create, origin) = &*self.impersonation;
        let minted_at = self.token.created_at();
        // A layer may have added claims, which the response repeats.
        let actor = self.token.actor().unwrap_or(create.actor());
        let is_own = |session: &Session| {
            let (mut claims, own) = (session.actor().claims().iter(), actor.claims());
            let begun_by = session.created_at().and_then(|it| it.checked_add(MAX_SKEW));
            let mut times = begun_by.into_iter().zip(minted_at);
            session.actor().sub() == actor.sub()
                && claims.all(|(name, value)| own.get(name).is_none_or(|own| own == value))
                && times.all(|(begun_by, minted_at)| begun_by >= minted_at)
        };
        let call = origin.revoke(self.token.id().clone()).into();
        let sessions = self.client.sessions()?;
        sessions.end(create.user_id(), is_own, &call).await
    }

    async fn revoke_by(&self, mut request: ActorTokenRequest) -> Result<(), Error> {
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

crate::text::opaque_debug!(Lease, |it| token: it.token);
