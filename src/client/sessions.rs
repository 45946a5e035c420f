//! The methods of [`Client`] about sessions.

use super::Client;
use crate::{
    EndImpersonationError, Error, Session,
    layer::refused,
    sessions::{Call, Sessions},
};

/// # Sessions
///
/// Methods of the feature `sessions`. Their requests pass the attempt and wire layers, with the timeouts
/// and retries of a call, but not the observer and call layers.
impl Client {
    /// Returns the sessions in which an actor is or was signed in as this user, newest first. The API
    /// removes old ones.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind). The [outcome](Error::outcome) is `Rejected` or `NotSent`, because
    /// listing changes nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the listing, nothing else.
    pub async fn impersonations(&self, subject: &str) -> Result<Vec<Session>, Error> {
        self.sessions()?.list(subject, &Call::default()).await
    }

    /// Ends the live impersonations of a user for which `filter` returns true, and returns them. None is
    /// no error. A session without an actor, which is the user's own, is not passed to `filter` and goes on.
    ///
    /// A token that was not accepted yet can still begin a session: [revoke](Self::revoke) it first. What
    /// a session did stays done, and a JWT that it got is valid until it expires, a minute by default.
    ///
    /// ```
    /// use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, ErrorKind, sandbox::Sandbox};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sandbox = Sandbox::new();
    /// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build()?;
    /// let token = client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
    /// sandbox.accept(token.expose_url().ok_or("no link")?)?;
    ///
    /// let error = client.revoke(token.id()).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::AlreadyAccepted);
    /// let ended = client.end_impersonation("user_1", |it| it.actor().sub() == "user_2").await?;
    /// assert_eq!(ended.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NothingEnded`](EndImpersonationError::NothingEnded) when the sessions cannot be listed. Otherwise
    /// every session is tried, and after a failure the sessions are listed again:
    /// [`NotAllEnded`](EndImpersonationError::NotAllEnded) has those that may still be live. Ending a
    /// session twice is harmless, so the call can be repeated after any error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends no further session. One whose request was sent may end.
    pub async fn end_impersonation<F>(
        &self,
        subject: &str,
        filter: F,
    ) -> Result<Vec<Session>, EndImpersonationError>
    where
        F: FnMut(&Session) -> bool,
    {
        let sessions = self.sessions()?;
        sessions.end(subject, filter, &Call::default()).await
    }

    pub(super) fn sessions(&self) -> Result<&Sessions, Error> {
        self.parts.sessions.as_ref().ok_or_else(|| {
            refused("only a client of a ClientBuilder has sessions, not one over a service")
        })
    }
}
