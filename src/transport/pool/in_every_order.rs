//! What holds of a [`Patient`] stream in every order that threads can act in.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use hyper::rt::{Read, ReadBuf, ReadBufCursor};
use loom::{future::block_on, sync::Mutex, thread};

use super::patient::Patient;

/// Bytes that come from another thread, and who waits for them.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<(usize, Option<Waker>)>>);

impl Stream {
    fn feed(&self) {
        let waits = {
            let mut state = self.0.lock().unwrap();
            state.0 += 1;
            state.1.take()
        };
        if let Some(task) = waits {
            task.wake();
        }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        if state.0 == 0 {
            state.1 = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.0 -= 1;
        buffer.put_slice(b"x");
        Poll::Ready(Ok(()))
    }
}

#[test]
fn no_bell_is_missed() {
    loom::model(|| {
        let stream = Stream::default();
        let far = stream.clone();
        let far = thread::spawn(move || (0..2).for_each(|_| far.feed()));
        let mut near = Patient::new(stream);
        for _ in 0..2 {
            block_on(poll_fn(|cx| {
                let mut bytes = [0; 1];
                Pin::new(&mut near).poll_read(cx, ReadBuf::new(&mut bytes).unfilled())
            }))
            .unwrap();
        }
        far.join().unwrap();
    });
}
