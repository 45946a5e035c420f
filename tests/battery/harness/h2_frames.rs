//! The frames of HTTP/2 that scripts need.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The largest frame that a client accepts by default.
const LARGEST: usize = 1 << 14;

pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

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

/// A response with this status and body.
pub(crate) fn response(stream: u32, status: u16, body: &[u8]) -> Vec<u8> {
    response_with(stream, status, &[], body)
}

/// The same with these headers.
pub(crate) fn response_with(
    stream: u32,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut frames = head_with(stream, &status.to_string(), headers);
    for part in body.chunks(LARGEST) {
        frames.extend(data(stream, part));
    }
    frames.extend(end(stream));
    frames
}

/// A head alone.
pub(crate) fn head(stream: u32, status: u16) -> Vec<u8> {
    head_with(stream, &status.to_string(), &[])
}

/// A head with these headers, which may be invalid.
pub(crate) fn head_with(stream: u32, status: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let block = block(status, headers);
    let mut parts: Vec<_> = block.chunks(LARGEST).collect();
    let last = parts.pop().unwrap_or_default();
    let mut frames = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let kind = if number == 0 { HEADERS } else { CONTINUATION };
        frames.extend(frame(kind, 0, stream, part));
    }
    let kind = if parts.is_empty() {
        HEADERS
    } else {
        CONTINUATION
    };
    frames.extend(frame(kind, END_HEADERS, stream, last));
    frames
}

/// The first frame of a head that does not end.
pub(crate) fn begun_head(stream: u32, status: &str) -> Vec<u8> {
    frame(HEADERS, 0, stream, &block(status, &[]))
}

/// A further frame of a head that does not end.
pub(crate) fn more_of_head(stream: u32) -> Vec<u8> {
    frame(CONTINUATION, 0, stream, &literal(b"x", b"y"))
}

/// A head in HPACK.
fn block(status: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    // A literal with the name of entry 8 of the static table, `:status`.
    let mut block = vec![0x08];
    block.extend(text(status.as_bytes()));
    for (name, value) in headers {
        block.extend(literal(name.as_bytes(), value.as_bytes()));
    }
    block
}

fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

/// A text in HPACK: its length in seven bits and more, then its bytes.
fn text(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len().checked_sub(127) {
        None => bytes.push(u8::try_from(text.len()).unwrap()),
        Some(mut rest) => {
            bytes.push(127);
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
    }
    bytes.extend(text);
    bytes
}

/// The end of a body.
pub(crate) fn end(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, &[])
}

/// A frame of a body that does not end.
pub(crate) fn data(stream: u32, body: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, body)
}

pub(crate) fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let settings: Vec<u8> = settings
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &settings)
}

/// Performs the server's side of the handshake.
pub(crate) async fn begin<C>(connection: &mut C, settings: &[(u16, u32)]) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut preface = [0; 24];
    connection.read_exact(&mut preface).await?;
    assert!(preface.starts_with(b"PRI * HTTP/2.0"));
    connection.write_all(&self::settings(settings)).await?;
    connection.write_all(&frame(SETTINGS, ACK, 0, &[])).await
}

/// Reads frames until a stream ends.
pub(crate) async fn read_request<C>(connection: &mut C) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let (kind, flags) = read_frame(connection).await?;
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            return Ok(());
        }
    }
}

/// Reads frames until a stream begins.
pub(crate) async fn read_head<C>(connection: &mut C) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    while read_frame(connection).await?.0 != HEADERS {}
    Ok(())
}

/// Reads a frame, and replies to it if it is a ping.
async fn read_frame<C>(connection: &mut C) -> io::Result<(u8, u8)>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut header = [0; 9];
    connection.read_exact(&mut header).await?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
    let mut payload = vec![0; length as usize];
    connection.read_exact(&mut payload).await?;
    if header[3] == PING && header[4] & ACK == 0 {
        let reply = frame(PING, ACK, 0, &payload);
        connection.write_all(&reply).await?;
    }
    Ok((header[3], header[4]))
}
