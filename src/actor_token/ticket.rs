//! [`Ticket`], the credential of a token.

use std::{fmt, slice::SliceIndex, sync::Arc};

use secrecy::{ExposeSecret, SecretString};

use crate::{ActorTokenId, ActorTokenRequest};

/// Revokes or reports a minted token when it is dropped, unless the token is claimed before.
pub(crate) trait Guard: Send + Sync {
    /// Records the id under which the token was delivered.
    fn identify(&self, id: &ActorTokenId);

    /// Gives up the guard, because the caller takes responsibility for the token.
    fn claim(&self);

    /// Revokes the token now, in the background.
    fn settle(&self);

    /// Returns the request that revokes the token at the base URL of its create; `None` once it is claimed
    /// or has expired.
    fn revoke_request(&self) -> Option<ActorTokenRequest>;
}

/// The credential of a token, in the two forms that the API returns.
///
/// Either form signs in as the user, past their second factor. `Debug` prints `Ticket([redacted])`, and
/// there is neither `Display` nor `Serialize`. The text is wiped from memory when it is dropped.
///
/// Reading the ticket claims the token. If the last clone of a ticket is dropped unread, its token is
/// revoked in the background, see [`SettleLayer`](crate::layer::SettleLayer).
#[derive(Clone)]
pub struct Ticket {
    /// The link, followed by the bare ticket unless the link ends with it: one text to wipe.
    text: SecretString,
    url_end: usize,
    token_start: usize,
    pub(super) guard: Option<Arc<dyn Guard>>,
}

impl Ticket {
    /// Returns a ticket of the two forms; `None` if there is neither.
    pub(crate) fn new(token: Option<&str>, url: Option<&str>) -> Option<Self> {
        let (token, url) = (token.unwrap_or_default(), url.unwrap_or_default());
        let (text, token_start) = if url.ends_with(token) {
            (Box::from(url), url.len() - token.len())
        } else {
            ([url, token].concat().into_boxed_str(), url.len())
        };
        (!text.is_empty()).then(|| Self {
            text: text.into(),
            url_end: url.len(),
            token_start,
            guard: None,
        })
    }

    /// Returns the bare ticket, for Clerk's `signIn.create({ strategy: "ticket" })`, and
    /// [claims](Self::claim) the token.
    pub fn expose_token(&self) -> Option<&str> {
        self.read(self.token_start..)
    }

    /// Returns the link that signs in as the user, and [claims](Self::claim) the token.
    pub fn expose_url(&self) -> Option<&str> {
        self.read(..self.url_end)
    }

    /// Takes responsibility for the token, as reading the ticket does. Dropping the ticket then does not
    /// revoke it.
    pub fn claim(&self) {
        if let Some(guard) = &self.guard {
            guard.claim();
        }
    }

    fn read<R: SliceIndex<str, Output = str>>(&self, range: R) -> Option<&str> {
        let text = self.text.expose_secret().get(range)?;
        if text.is_empty() {
            return None;
        }
        self.claim();
        Some(text)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket([redacted])")
    }
}
