//! A transport takes requests with a text as their body.

use clerk_actor_tokens::ClientBuilder;
use compile_fail::{Transport, key};

fn main() {
    let texts = Transport::<http::Request<String>>::default();
    let _ = ClientBuilder::over(key(), texts);
}
