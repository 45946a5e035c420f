//! [`ResponseBody`], which claims its token when it is polled.

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::actor_token::Guard;

/// The response body of [`ActorTokensApi`](super::ActorTokensApi).
///
/// The first poll [claims](crate::Ticket::claim) the token in it. A body dropped before that revokes the
/// token in the background, because the caller cannot have received it.
#[derive(Default)]
pub struct ResponseBody {
    pub(super) json: Bytes,
    pub(super) guard: Option<Arc<dyn Guard>>,
}

impl ResponseBody {
    /// Claims the token and returns its JSON.
    pub(crate) fn take(&mut self) -> Bytes {
        if let Some(guard) = self.guard.take() {
            guard.claim();
        }
        mem::take(&mut self.json)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let json = self.take();
        Poll::Ready((!json.is_empty()).then(|| Ok(Frame::data(json))))
    }

    fn is_end_stream(&self) -> bool {
        self.json.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.json.len() as u64)
    }
}

crate::text::opaque_debug!(ResponseBody, |it| remaining: it.json.len());
