//! [`Ticket`], the credential of a token.

use std::{fmt, sync::Arc};

use secrecy::{ExposeSecret, SecretString};

use crate::guard::Guard;

/// The credential of a token, in the two forms that the API hands out.
///
/// Whoever holds either signs in as the user, past their second factor. `Debug` prints
/// `Ticket([redacted])`, there is no `Display`, and the text is wiped from memory when it is dropped.
///
/// There is no other way to get at a credential than to read it here. So a ticket that nobody ever
/// read is of no use to anybody, and when the last clone of it is dropped, its token is revoked in the
/// background; see [`SettleLayer`](crate::layer::SettleLayer).
#[derive(Clone)]
pub struct Ticket {
    token: Option<SecretString>,
    url: Option<SecretString>,
    guard: Option<Arc<dyn Guard>>,
}

impl Ticket {
    /// A ticket of what an answer holds; `None` when it holds neither form.
    pub(crate) fn new(token: Option<String>, url: Option<String>) -> Option<Self> {
        let secret =
            |text: Option<String>| text.filter(|it| !it.is_empty()).map(SecretString::from);
        let ticket = Self {
            token: secret(token),
            url: secret(url),
            guard: None,
        };
        (ticket.token.is_some() || ticket.url.is_some()).then_some(ticket)
    }

    /// The bare ticket, to be passed to Clerk's `signIn.create({ strategy: "ticket" })`. Reading it
    /// [claims](Self::claim) the token.
    #[must_use]
    pub fn expose_token(&self) -> Option<&str> {
        self.read(self.token.as_ref())
    }

    /// The link that signs in whoever opens it. Reading it [claims](Self::claim) the token.
    #[must_use]
    pub fn expose_url(&self) -> Option<&str> {
        self.read(self.url.as_ref())
    }

    /// Answers for the token from now on, read or not: it is not revoked when the ticket is dropped.
    pub fn claim(&self) {
        if let Some(guard) = &self.guard {
            guard.claim();
        }
    }

    /// Lets `guard` answer for the token until the ticket is read.
    pub(super) fn guard_by(&mut self, guard: Arc<dyn Guard>) {
        self.guard = Some(guard);
    }

    fn read<'a>(&self, secret: Option<&'a SecretString>) -> Option<&'a str> {
        let secret = secret?;
        self.claim();
        Some(secret.expose_secret())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket([redacted])")
    }
}
