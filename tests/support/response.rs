//! Responses of a transport.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;

pub(crate) type FullResponse = Response<Full<Bytes>>;

pub(crate) fn response(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> FullResponse {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(body.into())).unwrap()
}
