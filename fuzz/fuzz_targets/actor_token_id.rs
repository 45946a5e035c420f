//! Any text as an id: an accepted id is one path segment, unchanged in the URI.

#![no_main]

use std::sync::{Arc, Mutex};

use clerk_actor_tokens::{ActorTokenId, ClientBuilder};
use clerk_actor_tokens_fuzz::{block_on, key, oracle::is_id, transport::recording};
use http::Uri;
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
    let client = ClientBuilder::over(key(), recording(&seen)).build();
    let _ = block_on(client.expect("valid options").revoke(&id));
    let seen: &Mutex<Vec<Uri>> = &seen;
    let [uri] = &seen.lock().unwrap()[..] else {
        panic!("not one request");
    };
    assert_eq!(uri.path(), format!("/v1/actor_tokens/{text}/revoke"));
    assert_eq!(uri.query(), None);
    assert_eq!(uri.scheme_str(), Some("https"));
    assert_eq!(uri.authority().map(|it| it.as_str()), Some("api.clerk.com"));
});
