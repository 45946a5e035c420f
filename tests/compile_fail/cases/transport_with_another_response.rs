//! A transport responds with a text instead of an HTTP body.

use clerk_actor_tokens::{Body, BoxError, ClientBuilder, SecretKey};
use tower::Service;

#[derive(Clone)]
struct Texts;

impl Service<http::Request<Body>> for Texts {
    type Response = http::Response<Vec<u8>>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        std::future::ready(Ok(http::Response::default()))
    }
}

fn main() {
    let key = SecretKey::new("sk_test_1").unwrap();
    let _ = ClientBuilder::over(key, Texts);
}
