//! [`SandboxBody`], the body of an answer, which may break off.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// The body of an answer of the sandbox.
pub struct SandboxBody {
    bytes: Bytes,
    /// How many bytes are announced and will not come.
    missing: usize,
    paused: bool,
    rest: Option<Rest>,
}

/// A pause, and what comes after it.
struct Rest {
    time: Duration,
    /// Begins when what comes before was taken.
    until: Option<Pin<Box<Sleep>>>,
    bytes: Bytes,
}

impl SandboxBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self {
            bytes,
            missing: 0,
            paused: false,
            rest: None,
        }
    }

    /// Rests for `time` after so many bytes, and then goes on.
    pub(super) fn paused(mut bytes: Bytes, after: usize, time: Duration) -> Self {
        let later = bytes.split_off(after.min(bytes.len()));
        let rest = Rest {
            time,
            until: None,
            bytes: later,
        };
        Self {
            rest: Some(rest),
            ..Self::whole(bytes)
        }
    }

    /// Announces all of `bytes`, and breaks off after `kept`.
    pub(super) fn truncated(mut bytes: Bytes, kept: usize) -> Self {
        let missing = bytes.len().saturating_sub(kept);
        bytes.truncate(kept);
        Self {
            missing,
            ..Self::whole(bytes)
        }
    }

    fn len(&self) -> usize {
        self.bytes.len() + self.rest.as_ref().map_or(0, |rest| rest.bytes.len())
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
        if let Some(rest) = &mut self.rest {
            let time = rest.time;
            let until = rest
                .until
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
            ready!(until.as_mut().poll(cx));
            let rest = self.rest.take().map(|rest| rest.bytes);
            return Poll::Ready(
                rest.filter(|it| !it.is_empty())
                    .map(|it| Ok(Frame::data(it))),
            );
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
        self.bytes.is_empty() && self.missing == 0 && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.len() + self.missing) as u64)
    }
}

impl fmt::Debug for SandboxBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxBody")
            .field("len", &self.len())
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}
