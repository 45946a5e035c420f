//! Reads a request body into one piece, up to a limit.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use pin_project_lite::pin_project;

use super::refusal::Refusal;

/// The longest request body that is read, in bytes.
pub(crate) const MAX_REQUEST_BYTES: usize = 64 * 1024;

pin_project! {
    /// A request body that is being read.
    pub(crate) struct Collect<B> {
        #[pin]
        body: B,
        bytes: BytesMut,
    }
}

impl<B> Collect<B> {
    pub(crate) fn new(body: B) -> Self {
        Self {
            body,
            bytes: BytesMut::new(),
        }
    }
}

impl<B: Body> Future for Collect<B> {
    type Output = Result<Bytes, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.body.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
            return Poll::Ready(Err(Refusal::too_long()));
        }
        while let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) {
            let Ok(frame) = frame else {
                return Poll::Ready(Err(Refusal::broken_off()));
            };
            // Trailers say nothing that the API knows of.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if this.bytes.len() + data.remaining() > MAX_REQUEST_BYTES {
                return Poll::Ready(Err(Refusal::too_long()));
            }
            this.bytes.put(data);
        }
        Poll::Ready(Ok(std::mem::take(this.bytes).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    async fn collect<B: Body>(body: B) -> Result<Bytes, u16> {
        let result = Collect::new(body).await;
        result.map_err(|refusal| refusal.status().as_u16())
    }

    fn data(text: &[u8]) -> io::Result<Frame<Bytes>> {
        Ok(Frame::data(Bytes::copy_from_slice(text)))
    }

    #[tokio::test]
    async fn the_limit_holds_for_announced_and_for_streamed_bodies() {
        let most = vec![b' '; MAX_REQUEST_BYTES];
        let announced = |len: usize| Full::<Bytes>::from(vec![b' '; len]);
        let read = collect(announced(most.len())).await.unwrap();
        assert_eq!(read.len(), most.len());
        assert_eq!(collect(announced(most.len() + 1)).await, Err(413));

        // Refused at the first byte too many, before the rest is read.
        let rest = Err(io::Error::other("it was read on"));
        let streamed = stream::iter([data(&most), data(b" "), rest]);
        assert_eq!(collect(StreamBody::new(streamed)).await, Err(413));
    }

    #[tokio::test]
    async fn trailers_are_skipped_and_a_break_is_told() {
        let trailers = Ok(Frame::trailers(http::HeaderMap::new()));
        let whole = stream::iter([data(b"{"), data(b"}"), trailers]);
        assert_eq!(collect(StreamBody::new(whole)).await.unwrap(), "{}");

        let broken = stream::iter([data(b"{"), Err(io::ErrorKind::ConnectionReset.into())]);
        assert_eq!(collect(StreamBody::new(broken)).await, Err(400));
    }
}
