//! `Client::new` is called with a secret key instead of a service.

use clerk_actor_tokens::Client;

fn main() {
    let _ = Client::new("sk_test_1");
}
