//! A transport responds with a text instead of an HTTP body.

use clerk_actor_tokens::{Body, ClientBuilder};
use compile_fail::{Transport, key};

fn main() {
    let texts = Transport::<http::Request<Body>, http::Response<Vec<u8>>>::default();
    let _ = ClientBuilder::over(key(), texts);
}
