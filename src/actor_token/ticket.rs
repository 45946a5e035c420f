//! [`Ticket`], the credential of a token.

use std::{fmt, slice::SliceIndex, sync::Arc};

use secrecy::{ExposeSecret, SecretString};

use crate::{guard::Guard, layer::settle::Unsettled};

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
    /// The link, and the bare ticket behind it unless the link ends with it: one copy to wipe.
    text: SecretString,
    url_end: usize,
    token_start: usize,
    guard: Option<Arc<dyn Guard>>,
}

impl Ticket {
    /// A ticket of what an answer holds; `None` when it holds neither form.
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

    /// The bare ticket, to be passed to Clerk's `signIn.create({ strategy: "ticket" })`. Reading it
    /// [claims](Self::claim) the token.
    #[must_use]
    pub fn expose_token(&self) -> Option<&str> {
        self.read(self.token_start..)
    }

    /// The link that signs in whoever opens it. Reading it [claims](Self::claim) the token.
    #[must_use]
    pub fn expose_url(&self) -> Option<&str> {
        self.read(..self.url_end)
    }

    /// Answers for the token from now on, read or not: it is not revoked when the ticket is dropped.
    pub fn claim(&self) {
        if let Some(guard) = &self.guard {
            guard.claim();
        }
    }

    /// The token, for somebody who answers for it after it is claimed; if anybody did before.
    pub(crate) fn unsettled(&self) -> Option<Unsettled> {
        self.guard.as_ref()?.unsettled()
    }

    pub(super) fn is_guarded(&self) -> bool {
        self.guard.is_some()
    }

    /// Lets `guard` answer for the token until the ticket is read.
    pub(super) fn guard_by(&mut self, guard: Arc<dyn Guard>) {
        self.guard = Some(guard);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_kept_whatever_they_have_in_common() {
        for (token, url) in [
            (Some("eyJ"), Some("https://x/?ticket=eyJ")),
            (Some("eyJ"), Some("https://x/")),
            (Some("eyJ"), None),
            (None, Some("https://x/")),
            (Some("https://x/"), Some("https://x/")),
        ] {
            let ticket = Ticket::new(token, url).unwrap();
            assert_eq!((ticket.expose_token(), ticket.expose_url()), (token, url));
        }
        for nothing in [None, Some("")] {
            assert!(Ticket::new(nothing, nothing).is_none());
        }
    }
}
