//! Responses from text: `Name: value` lines, an empty line, the body.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::{KEY, MARKER};

/// The head and the body of a response.
pub struct FuzzResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl FuzzResponse {
    /// Parses a response. `~K~` becomes the client's key. In the body of a 200, a `~` that begins `token`
    /// or `url` becomes the marker of a credential.
    pub fn new(status: u16, text: &[u8]) -> Self {
        let status = StatusCode::from_u16(100 + status % 900).expect("100 to 999");
        let (head, body) = split_once(text, b"\n\n").unwrap_or((text, b""));
        let mut body = with_key(body);
        if status == StatusCode::OK {
            for field in ["token", "url"] {
                let from = format!("\"{field}\":\"~");
                let to = format!("\"{field}\":\"{MARKER}");
                body = replace(&body, from.as_bytes(), to.as_bytes());
            }
        }
        Self {
            status,
            headers: headers(&with_key(head)),
            body: body.into(),
        }
    }

    /// Repeats the text between the first two bars of the body, with a number for each `#`: `[|"#",|0]`.
    /// So a short input becomes a long response.
    pub fn repeated(mut self, times: usize, limit: usize) -> Self {
        let mut parts = self.body.splitn(3, |byte| *byte == b'|');
        if let (Some(before), Some(unit), Some(after)) = (parts.next(), parts.next(), parts.next())
        {
            let mut body = before.to_vec();
            for number in 0..times {
                if unit.is_empty() || body.len() + unit.len() + after.len() > limit {
                    break;
                }
                body.extend(replace(unit, b"#", number.to_string().as_bytes()));
            }
            body.extend_from_slice(after);
            self.body = body.into();
        }
        self
    }
}

/// Replaces `~K~` by the key, and removes markers that the fuzzer generated.
pub fn with_key(text: &[u8]) -> Vec<u8> {
    let text = replace(text, MARKER.as_bytes(), b"marker");
    replace(&text, b"~K~", KEY.as_bytes())
}

pub fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(32) {
        let Some((name, value)) = split_once(line, b":") else {
            continue;
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

pub fn split_once<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let position = text.windows(at.len()).position(|window| window == at)?;
    Some((&text[..position], &text[position + at.len()..]))
}

pub fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = split_once(rest, from) {
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(to);
        rest = after;
    }
    replaced.extend_from_slice(rest);
    replaced
}
