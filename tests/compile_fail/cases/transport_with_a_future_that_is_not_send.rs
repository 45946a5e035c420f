//! A transport has futures that are not `Send`.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError, ClientBuilder, SecretKey};
use http_body_util::Full;
use tower::Service;

type TextResponse = http::Response<Full<Bytes>>;

#[derive(Clone)]
struct OneThread;

impl Service<http::Request<Body>> for OneThread {
    type Response = TextResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<TextResponse, BoxError>>>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        Box::pin(async { Ok(http::Response::default()) })
    }
}

fn main() {
    let key = SecretKey::new("sk_test_1").unwrap();
    let _ = ClientBuilder::over(key, OneThread);
}
