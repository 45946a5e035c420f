//! Any text as an id: what is accepted is one path segment, and stays one.

#![no_main]

use std::sync::{Arc, Mutex};

use clerk_actor_tokens::{ActorTokenId, ClientBuilder};
use clerk_actor_tokens_fuzz::{block_on, key, oracle::is_id, transport::noting};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let id = match ActorTokenId::try_from(text) {
        Ok(id) => id,
        Err(error) => {
            assert!(!is_id(text));
            assert!(error.to_string().len() < 200);
            return;
        }
    };
    assert!(is_id(text));
    assert_eq!(id.as_str(), text);
    assert_eq!(id.to_string(), text);

    let seen = Arc::default();
    let client = ClientBuilder::over(key(), noting(&seen)).build();
    let client = client.expect("a transport of one's own is always set up");
    let _ = block_on(client.revoke(&id));
    let uri = only(&seen);
    assert_eq!(uri.path(), format!("/v1/actor_tokens/{text}/revoke"));
    assert_eq!(uri.query(), None);
    assert_eq!(uri.scheme_str(), Some("https"));
    assert_eq!(uri.authority().map(|it| it.as_str()), Some("api.clerk.com"));
});

fn only(seen: &Arc<Mutex<Vec<http::Uri>>>) -> http::Uri {
    let mut seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    seen.remove(0)
}
