//! [`Lease`], a token that lives as long as somebody holds it.

use std::{fmt, sync::Arc, time::SystemTime};

use http::HeaderMap;

use crate::{
    ActorToken, ActorTokenRequest, Client, CreateActorToken, Error, ErrorKind, Operation, Outcome,
    Ticket,
    layer::settle::{Origin, Unsettled, take_body_headers},
    runtime,
};

/// A token that is revoked when this is dropped, whether its ticket was read or not.
///
/// For credentials that somebody needs for as long as a task, a page or a test lasts. A token whose life
/// has ended by itself is left alone. The revoke comes to where the create did, whatever layers made of
/// that; where settling is [disabled](crate::layer::SettleLayer::disabled), or the answer had no
/// credential, to where the caller sent it. By [`revoke`](Self::revoke) it is a call like any other, with the
/// caller's headers, to which the layers on its way add theirs.
/// What became of a token that was revoked by a drop is told by
/// [`on_settle`](crate::ClientBuilder::on_settle), since nobody waits for it.
///
/// ```
/// use std::time::Duration;
/// use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, Ticket, sandbox::Sandbox};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sandbox = Sandbox::new();
/// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build()?;
/// {
///     let lease = client.lease(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
///     let link = lease.token().ticket().and_then(Ticket::expose_url);
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
    /// As the caller gave them; layers on the way of a revoke add theirs anew.
    headers: Box<HeaderMap>,
    /// Taken when the lease ends.
    unsettled: Option<Unsettled>,
}

impl Lease {
    pub(crate) async fn begin(client: Client, request: ActorTokenRequest) -> Result<Self, Error> {
        let Operation::Create(create) = request.operation() else {
            let error = Error::new(ErrorKind::InvalidRequest, Outcome::NotSent);
            return Err(error.with_detail("only a token that is minted can be leased"));
        };
        let life = create.life().unwrap_or(CreateActorToken::DEFAULT_LIFE);
        let runtime = runtime::current().map_err(|why| {
            Error::new(ErrorKind::Runtime, Outcome::NotSent).with_detail(why.to_string())
        })?;
        let origin = Origin::new(
            request.call().options(),
            request.headers(),
            request.extensions(),
        );
        let mut headers = Box::new(request.headers().clone());
        take_body_headers(&mut headers);
        let token = client.send(request).await?;
        // Layers on the way may have changed the request, so whoever answers for the token knows better.
        let unsettled = token.ticket().and_then(Ticket::unsettled);
        let unsettled = unsettled.unwrap_or_else(|| {
            let settler = Arc::clone(client.settler());
            let left = |at: SystemTime| at.duration_since(SystemTime::now()).unwrap_or_default();
            let life = token.expires_at().map_or(life, left);
            Unsettled::of_token(settler, runtime, token.id().clone(), life, origin)
        });
        // The lease answers for it from now on.
        if let Some(ticket) = token.ticket() {
            ticket.claim();
        }
        Ok(Self {
            client,
            token,
            headers,
            unsettled: Some(unsettled),
        })
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &ActorToken {
        &self.token
    }

    /// The credential itself, if the answer had one.
    #[must_use]
    pub fn ticket(&self) -> Option<&Ticket> {
        self.token.ticket()
    }

    /// Ends the lease and keeps the token, which lives on.
    #[must_use = "the token lives on"]
    pub fn keep(mut self) -> ActorToken {
        if let Some(unsettled) = self.unsettled.take() {
            unsettled.nothing();
        }
        self.token.clone()
    }

    /// Ends the lease, and returns when nobody can use the token any more: it was revoked, had been
    /// revoked before, or its life has ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyAccepted`] when the token was used: a session is live. With any other error
    /// revoking goes on in the background, and [`on_settle`](crate::ClientBuilder::on_settle) tells how
    /// that ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the lease: the token is revoked in the background.
    pub async fn revoke(mut self) -> Result<(), Error> {
        if self.has_expired() {
            self.release();
            return Ok(());
        }
        let Some(mut request) = self.unsettled.as_ref().and_then(Unsettled::revoke_request) else {
            return Ok(());
        };
        request.headers_mut().clone_from(&self.headers);
        match self.client.send(request).await {
            Ok(_) => self.release(),
            Err(error) => match error.kind() {
                ErrorKind::AlreadyRevoked => self.release(),
                ErrorKind::AlreadyAccepted => {
                    self.release();
                    return Err(error);
                }
                _ => return Err(error),
            },
        }
        Ok(())
    }

    fn has_expired(&self) -> bool {
        self.unsettled.as_ref().is_some_and(Unsettled::has_expired)
    }

    /// Somebody else answers for the token, or nobody needs to.
    fn release(&mut self) {
        if let Some(unsettled) = self.unsettled.take() {
            unsettled.nothing();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.has_expired() {
            self.release();
        } else if let Some(unsettled) = self.unsettled.take() {
            unsettled.revoke();
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
