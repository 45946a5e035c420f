//! Connections as in-memory pipes, for rows with a paused clock.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use clerk_actor_tokens::Body;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tower::Service;

use crate::in_memory::{connected, pool};

use super::{
    script::{self, Op, Seen, Step, play},
    split::{Log, Split},
    transport_kind::TransportKind,
};

/// Connects to a peer that plays the next script on each connection, and repeats the last one.
#[derive(Clone)]
pub(crate) struct PipeConnector {
    scripts: Arc<Mutex<Vec<Vec<Step>>>>,
    op: Op,
    http2: bool,
    bytes: usize,
    seen: Arc<Seen>,
}

/// Returns a transport over pipes that hold this many bytes, configured like the default one.
pub(crate) fn transport(
    over: TransportKind,
    scripts: Vec<Vec<Step>>,
    op: Op,
    http2: bool,
    bytes: usize,
) -> ((Split, Arc<Log>), Arc<Seen>) {
    let seen = Arc::<Seen>::default();
    let connector = PipeConnector {
        scripts: Arc::new(Mutex::new(scripts)),
        op,
        http2,
        bytes,
        seen: Arc::clone(&seen),
    };
    let split = match over {
        TransportKind::Hyper => {
            let client: Client<_, Body> = Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .build(connector);
            Split::new(op, client)
        }
        TransportKind::Pooled => Split::new(op, pool(connector)),
    };
    (split, seen)
}

impl Service<Uri> for PipeConnector {
    type Response = Pipe;
    type Error = io::Error;
    type Future = Ready<io::Result<Pipe>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let script = {
            let mut scripts = self.scripts.lock().unwrap();
            if scripts.len() > 1 {
                scripts.remove(0)
            } else {
                scripts[0].clone()
            }
        };
        let (ours, theirs) = tokio::io::duplex(self.bytes);
        let (op, seen) = (self.op, Arc::clone(&self.seen));
        seen.connections.fetch_add(1, Ordering::SeqCst);
        let reset = Arc::<AtomicBool>::default();
        let theirs = PeerEnd {
            io: theirs,
            reset: Arc::clone(&reset),
        };
        tokio::spawn(async move { play(theirs, &script, op, &seen).await });
        ready(Ok(Pipe {
            io: TokioIo::new(ours),
            http2: self.http2,
            reset,
        }))
    }
}

/// The client's end of a connection.
pub(crate) struct Pipe {
    io: TokioIo<DuplexStream>,
    http2: bool,
    reset: Arc<AtomicBool>,
}

impl Pipe {
    fn check_reset(&self) -> io::Result<()> {
        match self.reset.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

/// The peer's end of a connection.
struct PeerEnd {
    io: DuplexStream,
    reset: Arc<AtomicBool>,
}

impl script::Connection for PeerEnd {
    fn reset(&mut self) {
        self.reset.store(true, Ordering::SeqCst);
    }
}

impl AsyncRead for PeerEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PeerEnd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        connected(self.http2)
    }
}

impl Read for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_reset()?;
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_reset()?;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
