//! Any URL of Redis: neither the error nor `Debug` shows its credentials.
//!
//! `~K~` becomes a password.

#![no_main]

use clerk_actor_tokens_fuzz::{MARKER, response::with_key};
use clerk_actor_tokens_redis::RedisConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|url: &str| {
    let url = String::from_utf8(with_key(url.as_bytes())).expect("UTF-8 with a key");
    match RedisConfig::new(&url) {
        Err(error) => assert!(!format!("{error} {error:?}").contains(MARKER), "{error:?}"),
        Ok(config) => {
            let server = url.split(['?', '#']).next().unwrap_or_default();
            let scheme = server
                .split(':')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            let user = server
                .rsplit_once('@')
                .filter(|_| !scheme.ends_with("unix"));
            let server = user.map_or(server, |(_, server)| server);
            // The name of a server is shown, and so is the path of a socket.
            if !server.contains(MARKER) {
                assert!(!format!("{config:?} {config:#?}").contains(MARKER), "{url}");
            }
        }
    }
});
