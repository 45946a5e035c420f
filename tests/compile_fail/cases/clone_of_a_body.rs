//! A wire layer clones a request to send it twice.

use clerk_actor_tokens::Body;

fn twice(request: http::Request<Body>) -> [http::Request<Body>; 2] {
    [request.clone(), request]
}

fn main() {
    let _ = twice;
}
