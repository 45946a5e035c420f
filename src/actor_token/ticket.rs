//! [`Ticket`], the credential of a token.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// The credential of a token, in the two forms that the API hands out.
///
/// Whoever holds either signs in as the user, past their second factor. `Debug` prints
/// `Ticket([redacted])`, there is no `Display`, and the text is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct Ticket {
    token: Option<SecretString>,
    url: Option<SecretString>,
}

impl Ticket {
    /// A ticket of what an answer holds; `None` when it holds neither form.
    pub(crate) fn new(token: Option<String>, url: Option<String>) -> Option<Self> {
        let secret =
            |text: Option<String>| text.filter(|it| !it.is_empty()).map(SecretString::from);
        let ticket = Self {
            token: secret(token),
            url: secret(url),
        };
        (ticket.token.is_some() || ticket.url.is_some()).then_some(ticket)
    }

    /// The bare ticket, to be passed to Clerk's `signIn.create({ strategy: "ticket" })`.
    #[must_use]
    pub fn expose_token(&self) -> Option<&str> {
        self.token.as_ref().map(ExposeSecret::expose_secret)
    }

    /// The link that signs in whoever opens it.
    #[must_use]
    pub fn expose_url(&self) -> Option<&str> {
        self.url.as_ref().map(ExposeSecret::expose_secret)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket([redacted])")
    }
}
