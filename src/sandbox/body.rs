//! [`SandboxBody`], the body of an answer, which may break off.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of an answer of the sandbox.
pub struct SandboxBody {
    bytes: Bytes,
    /// How many bytes are announced and will not come.
    missing: usize,
    paused: bool,
}

impl SandboxBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self {
            bytes,
            missing: 0,
            paused: false,
        }
    }

    /// Announces all of `bytes`, and breaks off after `kept`.
    pub(super) fn truncated(mut bytes: Bytes, kept: usize) -> Self {
        let missing = bytes.len().saturating_sub(kept);
        bytes.truncate(kept);
        Self {
            bytes,
            missing,
            paused: false,
        }
    }
}

impl Body for SandboxBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.bytes.is_empty() {
            let bytes = std::mem::take(&mut self.bytes);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.missing == 0 {
            return Poll::Ready(None);
        }
        if !self.paused {
            // A server flushes what it has before it learns of the break, so that it gets through.
            self.paused = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.missing == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.bytes.len() + self.missing) as u64)
    }
}

impl fmt::Debug for SandboxBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxBody")
            .field("len", &self.bytes.len())
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}
