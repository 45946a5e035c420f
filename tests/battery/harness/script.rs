//! The peer's side of a connection as a script.

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

/// The connections and requests that the peer received.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicU32,
    /// The number of complete requests.
    pub(crate) requests: AtomicU32,
    /// The heads of HTTP/1.1 requests.
    pub(crate) heads: Mutex<Vec<String>>,
    /// The bytes of a flood that were written.
    pub(crate) flooded: AtomicUsize,
}

/// A step of the peer. After the last one it closes the connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Reads one complete request and counts it.
    Request,
    /// Reads the head of an HTTP/2 request.
    Http2Head,
    /// Reads this many bytes, or to the end of the connection.
    Bytes(usize),
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Writes these bytes one by one, each after a delay.
    Drip(Vec<u8>, Duration),
    /// Repeats `Drip` without end.
    Repeat(Vec<u8>, Duration),
    /// Writes all of these bytes at once, and repeats that without end.
    Flood(Vec<u8>),
    /// Responds with the requested token over HTTP/1.1.
    Respond,
    /// Responds with the requested token over HTTP/2, on this stream.
    RespondOn(u32),
    /// Begins HTTP/2: reads the preface and sends these settings.
    Http2(&'static [(u16, u32)]),
    /// Resets the connection. Bytes that the client has not read are lost.
    Reset,
    /// Reads, writes nothing, and keeps the connection open.
    Hang,
    /// Stops reading, and keeps the connection open.
    Stall,
}

/// The operation that a row runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Revoke,
}

impl Op {
    /// Returns the API's response body, with a marker in place of the credential.
    pub(crate) fn body(self) -> &'static str {
        match self {
            Self::Create => {
                r#"{"object":"actor_token","id":"act_1","user_id":"user_1","actor":{"sub":"user_2"},"status":"pending","token":"MARKER","url":"https://x.example/v1/tickets/accept?ticket=MARKER","created_at":1700000000000,"updated_at":1700000000000}"#
            }
            Self::Revoke => r#"{"id":"act_1","user_id":"user_1","status":"revoked"}"#,
        }
    }

    /// Changes the status in a response to `revoked` if this is a revoke. The length stays the same.
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

    pub(crate) fn http1_response(self) -> Vec<u8> {
        http1(200, "content-type: application/json\r\n", self.body())
    }
}

/// An HTTP/1.1 response with a content length.
pub(crate) fn http1(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The same with a list of headers and a body that may be binary.
pub(crate) fn http1_with(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut response = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n");
    for (name, value) in headers {
        response += &format!("{name}: {value}\r\n");
    }
    [response.as_bytes(), b"\r\n", body].concat()
}

/// The peer's end of a connection.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin {
    /// Makes the connection end with a reset.
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
            Step::Http2Head => h2_frames::read_head(&mut connection).await,
            Step::Bytes(count) => {
                let mut bytes = vec![0; *count];
                connection.read_exact(&mut bytes).await.map(drop)
            }
            Step::Write(bytes) => connection.write_all(&op.adapt(bytes)).await,
            Step::Drip(bytes, delay) => drip(&mut connection, &op.adapt(bytes), *delay).await,
            Step::Repeat(bytes, delay) => loop {
                if let Err(error) = drip(&mut connection, bytes, *delay).await {
                    break Err(error);
                }
            },
            Step::Flood(bytes) => loop {
                // Lets the paused clock advance, so that a client that reads without end times out.
                tokio::time::sleep(Duration::from_millis(1)).await;
                if let Err(error) = connection.write_all(bytes).await {
                    break Err(error);
                }
                seen.flooded.fetch_add(bytes.len(), Ordering::SeqCst);
            },
            Step::Respond => connection.write_all(&op.http1_response()).await,
            Step::RespondOn(stream) => {
                let frames = h2_frames::response(*stream, 200, op.body().as_bytes());
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

async fn drip<C>(connection: &mut C, bytes: &[u8], delay: Duration) -> std::io::Result<()>
where
    C: AsyncWrite + Unpin,
{
    for byte in bytes {
        tokio::time::sleep(delay).await;
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
