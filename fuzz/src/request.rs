//! Requests from text: `METHOD target`, `Name: value` lines, an empty line, the body.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, request::Parts};

use crate::response::{headers, replace, split_once};

/// The head and the body of a request.
pub struct FuzzRequest {
    pub head: Parts,
    pub body: Bytes,
}

impl FuzzRequest {
    /// Parses a request. In the values of `authorization` and `cookie` each name becomes its secret.
    pub fn new(text: &[u8], secrets: &[(&str, &str)]) -> Option<Self> {
        let (head, body) = split_once(text, b"\n\n").unwrap_or((text, b""));
        let (line, lines) = split_once(head, b"\n").unwrap_or((head, b""));
        let (method, target) = split_once(line, b" ")?;
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(method).ok()?;
        *request.uri_mut() = Uri::try_from(target).ok()?;
        *request.headers_mut() = with_secrets(headers(lines), secrets);
        Some(Self {
            head: request.into_parts().0,
            body: Bytes::copy_from_slice(body),
        })
    }

    pub fn request<B>(&self, body: impl FnOnce(Bytes) -> B) -> Request<B> {
        Request::from_parts(self.head.clone(), body(self.body.clone()))
    }
}

fn with_secrets(mut headers: HeaderMap, secrets: &[(&str, &str)]) -> HeaderMap {
    for (name, value) in &mut headers {
        if ["authorization", "cookie"].contains(&name.as_str()) {
            let mut text = value.as_bytes().to_vec();
            for (name, secret) in secrets {
                text = replace(&text, name.as_bytes(), secret.as_bytes());
            }
            *value = text.try_into().expect("a header with a secret");
        }
    }
    headers
}
