//! [`Patient`], a stream that is not asked for bytes before it has said that there may be some.
//!
//! Hyper asks several times in a row, and to hear from TLS that there is nothing costs as much as a
//! layer of the stack.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use hyper::rt::{Read, ReadBufCursor, Write};

use std::sync::atomic::{AtomicBool, Ordering};

/// A stream that is not asked for bytes before it has said that there may be some. It must be one that
/// never has bytes to read because it was written to.
pub(super) struct Patient<I> {
    inner: I,
    bell: Arc<Bell>,
    /// The bell, as the stream inside knows it.
    ring: Waker,
}

/// Rings when there may be bytes.
struct Bell {
    rung: AtomicBool,
    /// Who hears it. A connection stays with its task, and whoever else asks gets a bell of its own.
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the task is woken, which then finds it so.
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<I> Patient<I> {
    pub(super) fn new(inner: I) -> Self {
        let (bell, ring) = bell(Waker::noop());
        Self { inner, bell, ring }
    }

    pub(super) fn get_ref(&self) -> &I {
        &self.inner
    }
}

/// A bell that has rung, so that the stream is asked at once.
fn bell(task: &Waker) -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell {
        rung: AtomicBool::new(true),
        task: task.clone(),
    });
    (Arc::clone(&bell), bell.into())
}

impl<I: Read + Unpin> Read for Patient<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.bell.task.will_wake(cx.waker()) {
            (this.bell, this.ring) = bell(cx.waker());
        }
        if !this.bell.rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // Before it is asked, so that nothing is missed that comes after that.
        this.bell.rung.store(false, Ordering::Release);
        let ring = &mut Context::from_waker(&this.ring);
        let polled = Pin::new(&mut this.inner).poll_read(ring, buffer);
        if polled.is_ready() {
            // There may be more.
            this.bell.rung.store(true, Ordering::Release);
        }
        polled
    }
}

impl<I: Write + Unpin> Write for Patient<I> {
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
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
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
    use std::sync::atomic::AtomicUsize;

    use hyper::rt::ReadBuf;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Has a byte as often as it is told to, and counts how often it is asked.
    #[derive(Default)]
    struct Stream {
        bytes: usize,
        asked: usize,
        waits: Option<Waker>,
    }

    impl Stream {
        fn feed(&mut self) {
            self.bytes += 1;
            if let Some(task) = self.waits.take() {
                task.wake();
            }
        }
    }

    impl Read for Stream {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            mut buffer: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            self.asked += 1;
            if self.bytes == 0 {
                self.waits = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.bytes -= 1;
            buffer.put_slice(b"x");
            Poll::Ready(Ok(()))
        }
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Task {
        fn poll(self: &Arc<Self>, stream: &mut Patient<Stream>) -> bool {
            let (waker, mut bytes) = (Waker::from(Arc::clone(self)), [0; 8]);
            let mut buffer = ReadBuf::new(&mut bytes);
            let cx = &mut Context::from_waker(&waker);
            Pin::new(stream).poll_read(cx, buffer.unfilled()).is_ready()
        }

        fn woken(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_stream_is_asked_again_once_it_has_rung() {
        let (mut stream, task) = (Patient::new(Stream::default()), Arc::<Task>::default());
        for _ in 0..5 {
            assert!(!task.poll(&mut stream));
        }
        assert_eq!((stream.inner.asked, task.woken()), (1, 0));
        stream.inner.feed();
        assert_eq!(task.woken(), 1);
        assert!(task.poll(&mut stream), "it was not asked");
        assert!(!task.poll(&mut stream));
        assert!(!task.poll(&mut stream));
        assert_eq!((stream.inner.asked, task.woken()), (3, 1));
        stream.inner.feed();
        assert_eq!(task.woken(), 2);
    }

    #[test]
    fn the_task_that_asked_last_is_woken() {
        let mut stream = Patient::new(Stream::default());
        let (one, other) = (Arc::<Task>::default(), Arc::<Task>::default());
        assert!(!one.poll(&mut stream) && !other.poll(&mut stream));
        stream.inner.feed();
        assert_eq!((one.woken(), other.woken()), (0, 1));
    }

    #[test]
    fn what_rings_while_it_is_asked_is_heard() {
        /// Rings at once, as what has used up its share of time does.
        struct Yielding(bool);

        impl Read for Yielding {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                _: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                if std::mem::replace(&mut self.0, true) {
                    return Poll::Ready(Ok(()));
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }

        let (mut stream, task) = (Patient::new(Yielding(false)), Arc::<Task>::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut poll = || {
            let cx = &mut Context::from_waker(&waker);
            Pin::new(&mut stream).poll_read(cx, ReadBuf::new(&mut []).unfilled())
        };
        assert!(poll().is_pending());
        assert_eq!(task.woken(), 1);
        assert!(poll().is_ready());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_bell_is_missed_between_threads() {
        let (near, far) = tokio::io::duplex(1);
        let mut near = TokioIo::new(Patient::new(TokioIo::new(near)));
        let mut far = TokioIo::new(Patient::new(TokioIo::new(far)));
        let echo = tokio::spawn(async move {
            while let Ok(byte) = far.read_u8().await {
                far.write_u8(byte).await.unwrap();
            }
        });
        for byte in (0..=u8::MAX).cycle().take(20_000) {
            near.write_u8(byte).await.unwrap();
            assert_eq!(near.read_u8().await.unwrap(), byte);
        }
        drop(near);
        echo.await.unwrap();
    }
}
