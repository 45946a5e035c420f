//! A transport takes requests with a text as their body.

use bytes::Bytes;
use clerk_actor_tokens::{BoxError, ClientBuilder, SecretKey};
use http_body_util::Full;
use tower::Service;

#[derive(Clone)]
struct Texts;

impl Service<http::Request<String>> for Texts {
    type Response = http::Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<String>) -> Self::Future {
        std::future::ready(Ok(http::Response::default()))
    }
}

fn main() {
    let key = SecretKey::new("sk_test_1").unwrap();
    let _ = ClientBuilder::over(key, Texts);
}
