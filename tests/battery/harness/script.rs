//! The peer's side of a connection, as a script.

use std::{
    future::pending,
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::h2_frames;

/// What the peer saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicU32,
    /// How many whole requests.
    pub(crate) requests: AtomicU32,
    /// Their heads, as far as HTTP/1.1 tells them.
    pub(crate) heads: Mutex<Vec<String>>,
    /// How many bytes of a flood the client took, and the pipe.
    pub(crate) flooded: AtomicUsize,
}

/// What the peer does next. After its last step it closes the connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Reads one whole request, which is then counted.
    Request,
    /// Reads the head of a request, by HTTP/2.
    Head2,
    /// Reads this many bytes, or up to the end of the client's.
    Bytes(usize),
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Writes these bytes one by one, each after a pause.
    Drip(Vec<u8>, Duration),
    /// Writes these bytes again and again, each time after a pause, for ever.
    Repeat(Vec<u8>, Duration),
    /// Writes all of these bytes at once, again and again, for ever.
    Flood(Vec<u8>),
    /// Answers with the token that was asked for, by HTTP/1.1.
    Answer,
    /// Answers so by HTTP/2, on this stream.
    AnswerStream(u32),
    /// Begins HTTP/2: reads the preface and sends these settings.
    Http2(&'static [(u16, u32)]),
    /// Resets the connection: what the client has not read is lost.
    Reset,
    /// Reads, but says nothing any more, and keeps the connection open.
    Hang,
    /// Does not even read any more.
    Stall,
}

/// Which operation a row is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Revoke,
}

impl Op {
    /// The API's answer, with a marker in place of the credential.
    pub(crate) fn answer(self) -> &'static str {
        match self {
            Self::Create => {
                r#"{"object":"actor_token","id":"act_1","user_id":"user_1","actor":{"sub":"user_2"},"status":"pending","token":"MARKER","url":"https://x.example/v1/tickets/accept?ticket=MARKER","created_at":1700000000000,"updated_at":1700000000000}"#
            }
            Self::Revoke => r#"{"id":"act_1","user_id":"user_1","status":"revoked"}"#,
        }
    }

    /// Rewrites a create's response for this operation: the token of a revoke is revoked. The length stays.
    fn adapt(self, response: &[u8]) -> Vec<u8> {
        const PENDING: &[u8] = br#""status":"pending""#;
        const REVOKED: &[u8] = br#""status":"revoked""#;
        let mut response = response.to_vec();
        let found = |it: &Vec<u8>| it.windows(PENDING.len()).position(|it| it == PENDING);
        while let Some(at) = found(&response).filter(|_| self == Self::Revoke) {
            response[at..at + REVOKED.len()].copy_from_slice(REVOKED);
        }
        response
    }

    pub(crate) fn http1_answer(self) -> Vec<u8> {
        http1(200, "content-type: application/json\r\n", self.answer())
    }
}

/// An HTTP/1.1 answer with a content length.
pub(crate) fn http1(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The same with headers one by one, and a body that may be no text.
pub(crate) fn http1_with(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n");
    for (name, value) in headers {
        answer += &format!("{name}: {value}\r\n");
    }
    [answer.as_bytes(), b"\r\n", body].concat()
}

/// The peer's end of a connection.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin {
    /// Makes the end of this connection a reset in place of an orderly one.
    fn reset(&mut self);
}

impl Connection for TcpStream {
    fn reset(&mut self) {
        let _ = self.set_zero_linger();
    }
}

impl Connection for TlsStream<TcpStream> {
    fn reset(&mut self) {
        self.get_mut().0.reset();
    }
}

/// Plays a script on one connection.
pub(crate) async fn play<C: Connection>(mut connection: C, script: &[Step], op: Op, seen: &Seen) {
    let mut http2 = false;
    for step in script {
        let played = match step {
            Step::Request if http2 => {
                let read = h2_frames::read_request(&mut connection).await;
                read.map(|()| seen.requests.fetch_add(1, Ordering::SeqCst))
                    .map(drop)
            }
            Step::Request => {
                let read = read_http1(&mut connection).await;
                read.map(|head| {
                    seen.heads.lock().unwrap().push(head);
                    seen.requests.fetch_add(1, Ordering::SeqCst);
                })
            }
            Step::Head2 => h2_frames::read_head(&mut connection).await,
            Step::Bytes(count) => {
                let mut bytes = vec![0; *count];
                connection.read_exact(&mut bytes).await.map(drop)
            }
            Step::Write(bytes) => connection.write_all(&op.adapt(bytes)).await,
            Step::Drip(bytes, pause) => drip(&mut connection, &op.adapt(bytes), *pause).await,
            Step::Repeat(bytes, pause) => loop {
                if let Err(error) = drip(&mut connection, bytes, *pause).await {
                    break Err(error);
                }
            },
            Step::Flood(bytes) => loop {
                // Whoever reads for ever must come to the end of the time, too.
                tokio::time::sleep(Duration::from_millis(1)).await;
                if let Err(error) = connection.write_all(bytes).await {
                    break Err(error);
                }
                seen.flooded.fetch_add(bytes.len(), Ordering::SeqCst);
            },
            Step::Answer => connection.write_all(&op.http1_answer()).await,
            Step::AnswerStream(stream) => {
                let frames = h2_frames::answer(*stream, 200, op.answer().as_bytes());
                connection.write_all(&frames).await
            }
            Step::Http2(settings) => {
                http2 = true;
                h2_frames::begin(&mut connection, settings).await
            }
            Step::Reset => {
                connection.reset();
                return;
            }
            Step::Hang => {
                let mut rest = Vec::new();
                let read = connection.read_to_end(&mut rest).await;
                read.map(drop)
            }
            Step::Stall => pending().await,
        };
        if played.is_err() {
            return;
        }
    }
    let _ = connection.shutdown().await;
}

async fn drip<C>(connection: &mut C, bytes: &[u8], pause: Duration) -> std::io::Result<()>
where
    C: AsyncWrite + Unpin,
{
    for byte in bytes {
        tokio::time::sleep(pause).await;
        connection.write_all(&[*byte]).await?;
    }
    Ok(())
}

async fn read_http1<C: AsyncRead + Unpin>(connection: &mut C) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    connection.read_exact(&mut body).await?;
    Ok(head)
}
