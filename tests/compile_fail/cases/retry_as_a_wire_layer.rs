//! tower's retry is passed as a wire layer, where a request can be sent once only.

use std::future::{Ready, ready};

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError, ClientBuilder, SecretKey};
use http_body_util::Full;
use tower::retry::{Policy, RetryLayer};

#[derive(Clone)]
struct Always;

impl<Q: Clone, T, E> Policy<Q, T, E> for Always {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Q, result: &mut Result<T, E>) -> Option<Ready<()>> {
        result.is_err().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }
}

fn main() {
    let transport = tower::service_fn(|_: http::Request<Body>| async {
        Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::default()))
    });
    let key = SecretKey::new("sk_test_1").unwrap();
    let builder = ClientBuilder::over(key, transport).wire_layer(RetryLayer::new(Always));
    let _ = builder.build();
}
