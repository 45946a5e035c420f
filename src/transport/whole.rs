//! [`Whole`], a stream that is written to in one piece where there is one piece.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// A stream that is written to in one piece where there is one piece. It takes the system longer to be told
/// where the pieces are, and rustls tells it even of one.
pub(super) struct Whole<I> {
    inner: I,
}

impl<I> Whole<I> {
    pub(super) fn new(inner: I) -> Self {
        Self { inner }
    }
}

impl<I: Connection> Connection for Whole<I> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

impl<I: Read + Unpin> Read for Whole<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<I: Write + Unpin> Write for Whole<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = Pin::new(&mut self.inner);
        match slices {
            [whole] => inner.poll_write(cx, whole),
            _ => inner.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Notes how it was written to.
    #[derive(Default)]
    struct Stream(Vec<String>);

    impl Write for Stream {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(String::from_utf8_lossy(bytes).into_owned());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let pieces: Vec<_> = slices
                .iter()
                .map(|it| String::from_utf8_lossy(it))
                .collect();
            self.0.push(format!("[{}]", pieces.join("|")));
            Poll::Ready(Ok(slices.iter().map(|it| it.len()).sum()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn one_piece_is_written_as_one_and_several_at_once() {
        let mut stream = Whole::new(Stream::default());
        assert!(stream.is_write_vectored());
        let cx = &mut Context::from_waker(Waker::noop());
        for pieces in [&["ab"][..], &["a", "b"], &[]] {
            let slices: Vec<_> = pieces
                .iter()
                .map(|it| IoSlice::new(it.as_bytes()))
                .collect();
            let written = Pin::new(&mut stream).poll_write_vectored(cx, &slices);
            let bytes = pieces.concat().len();
            assert!(matches!(written, Poll::Ready(Ok(count)) if count == bytes));
        }
        assert_eq!(stream.inner.0, ["ab", "[a|b]", "[]"]);
    }
}
