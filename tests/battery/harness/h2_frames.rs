//! As much of HTTP/2's framing as a script needs, on raw bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn go_away(last_stream: u32, code: u32) -> Vec<u8> {
    frame(
        GOAWAY,
        0,
        0,
        &[last_stream.to_be_bytes(), code.to_be_bytes()].concat(),
    )
}

/// An answer with this status and body.
pub(crate) fn answer(stream: u32, status: u16, body: &[u8]) -> Vec<u8> {
    let mut frames = head(stream, status);
    // No frame is larger than what a client accepts unasked.
    for part in body.chunks(1 << 14) {
        frames.extend(data(stream, part));
    }
    frames.extend(frame(DATA, END_STREAM, stream, &[]));
    frames
}

/// A head alone.
pub(crate) fn head(stream: u32, status: u16) -> Vec<u8> {
    // A literal in HPACK, whose name is that of entry 8 of the static table, `:status`.
    let mut block = vec![0x08, 3];
    block.extend(status.to_string().bytes());
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// The beginning of a body that does not end.
pub(crate) fn data(stream: u32, body: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, body)
}

/// The server's side of the handshake.
pub(crate) async fn begin<C>(connection: &mut C, limit: Option<u32>) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut preface = [0; 24];
    connection.read_exact(&mut preface).await?;
    assert!(preface.starts_with(b"PRI * HTTP/2.0"));
    let settings = limit.map_or(Vec::new(), |limit| {
        // SETTINGS_MAX_CONCURRENT_STREAMS
        [3_u16.to_be_bytes().to_vec(), limit.to_be_bytes().to_vec()].concat()
    });
    connection
        .write_all(&frame(SETTINGS, 0, 0, &settings))
        .await?;
    connection.write_all(&frame(SETTINGS, ACK, 0, &[])).await
}

/// Reads frames until a stream ends.
pub(crate) async fn read_request<C: AsyncRead + Unpin>(connection: &mut C) -> io::Result<()> {
    loop {
        let mut header = [0; 9];
        connection.read_exact(&mut header).await?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        connection.read_exact(&mut payload).await?;
        let (kind, flags) = (header[3], header[4]);
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            return Ok(());
        }
    }
}
