//! A server that responds to each request with the same raw bytes, over an in-memory pipe and either
//! transport: the default one, or hyper-util's client.
//!
//! Input: a byte for the server's behaviour, then the bytes that it writes. `~K~` becomes the client's key.

#![no_main]

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use clerk_actor_tokens::{ActorToken, Body, ClientBuilder, Error, Outcome};
use clerk_actor_tokens_fuzz::{
    CALL_TIMEOUT, Op, TOKEN_ID, USER_ID, call, key,
    oracle::{Shown, is_id, is_not_revoked},
    paused_runtime,
    response::with_key,
};
use http::{Request, StatusCode, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tower::Service;

/// The behaviour of the server.
struct Script {
    bytes: Vec<u8>,
    /// Whether it closes the connection after its first response.
    closes: bool,
    /// The number of bytes in one write.
    piece: usize,
    /// Whether the transport is hyper-util's client.
    hyper_client: bool,
}

impl Script {
    fn new(flags: u8, bytes: &[u8]) -> Self {
        let bytes = with_key(bytes);
        let piece = match flags >> 2 & 7 {
            0..=3 => bytes.len(),
            4 | 5 => bytes.len().div_ceil(2),
            6 => bytes.len().div_ceil(7),
            _ => bytes.len().div_ceil(64),
        };
        Self {
            bytes,
            closes: flags & 2 == 0,
            piece: piece.max(1),
            hyper_client: flags & 32 != 0,
        }
    }

    async fn serve(&self, mut connection: DuplexStream, seen: &AtomicU32) -> io::Result<()> {
        loop {
            read_request(&mut connection).await?;
            seen.fetch_add(1, Ordering::SeqCst);
            for piece in self.bytes.chunks(self.piece) {
                connection.write_all(piece).await?;
                if self.piece < self.bytes.len() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            if self.closes {
                return connection.shutdown().await;
            }
        }
    }
}

async fn read_request(connection: &mut DuplexStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    connection.read_exact(&mut body).await.map(drop)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, bytes)) = bytes.split_first() else {
        return;
    };
    let op = Op::of(*flags);
    let script = Arc::new(Script::new(*flags, bytes));
    let seen = Arc::<AtomicU32>::default();
    let connector = Connector {
        script: Arc::clone(&script),
        seen: Arc::clone(&seen),
    };
    let (result, took) = paused_runtime().block_on(async {
        let base_url = "http://127.0.0.1";
        let client = if script.hyper_client {
            // Configured like `HyperTransport`.
            let transport = legacy::Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(Duration::from_secs(30))
                .build::<_, Body>(connector);
            let builder = ClientBuilder::over(key(), transport);
            builder.base_url(base_url).build()
        } else {
            let before_send = |request: &Request<Body>| match request.body().may_be_sent() {
                true => Ok(()),
                false => Err("withdrawn".into()),
            };
            let transport = pooled_transport::Builder::new()
                .before_send(before_send)
                .build(connector);
            let builder = ClientBuilder::over(key(), transport);
            builder.base_url(base_url).build()
        };
        let client = client.expect("valid options");
        let begun = tokio::time::Instant::now();
        (call(&client, op).await, begun.elapsed())
    });

    assert!(took <= CALL_TIMEOUT, "it took {took:?}");
    let shown = Shown::of(&result);
    shown.holds_no_secret();
    shown.is_presentable();
    shown.is_shorter_than(1 << 20, 1 << 24);
    check(op, &script, &result, seen.load(Ordering::SeqCst));
});

fn check(op: Op, script: &Script, result: &Result<ActorToken, Error>, seen: u32) {
    assert!(seen <= 3, "{seen} requests");
    let holds = |status: &[u8]| script.bytes.windows(status.len()).any(|it| it == status);
    let is_retried = holds(b" 421") || holds(b" 425") || holds(b" 429");
    assert!(
        op == Op::Revoke || seen <= 1 || is_retried,
        "a create was sent {seen} times: {result:?}"
    );
    match result {
        Ok(token) => {
            assert!(seen > 0 && is_id(token.id().as_str()));
            match op {
                Op::Create => assert_eq!(token.user_id(), Some(USER_ID)),
                Op::Revoke => assert_eq!(token.id().as_str(), TOKEN_ID),
            }
        }
        Err(error) if error.outcome() == Outcome::NotSent => assert_eq!(seen, 0, "{error:?}"),
        Err(error) if error.outcome() == Outcome::Rejected => {
            // A call that timed out within a retry has no status.
            let is_refusal = |status: StatusCode| status.is_client_error();
            assert!(
                error.status().map_or(error.is_timeout(), is_refusal) || is_not_revoked(error),
                "{error:?}"
            );
        }
        Err(_) => {}
    }
}

/// Connects to a new server.
#[derive(Clone)]
struct Connector {
    script: Arc<Script>,
    seen: Arc<AtomicU32>,
}

impl Service<Uri> for Connector {
    type Response = Pipe;
    type Error = io::Error;
    type Future = Ready<io::Result<Pipe>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (script, seen) = (Arc::clone(&self.script), Arc::clone(&self.seen));
        tokio::spawn(async move { script.serve(theirs, &seen).await });
        ready(Ok(Pipe(TokioIo::new(ours))))
    }
}

/// The client's end of a connection.
struct Pipe(TokioIo<DuplexStream>);

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
