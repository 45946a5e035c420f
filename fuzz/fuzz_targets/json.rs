//! Any text as an answer: a space after it, with which it is read byte by byte, changes nothing.

#![no_main]

use clerk_actor_tokens::ActorToken;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let token = ActorToken::from_json(json);
    let spaced = ActorToken::from_json(&[json, b" "].concat());
    match (token, spaced) {
        (Ok(token), Ok(spaced)) => {
            assert_eq!(token.id(), spaced.id());
            assert_eq!(token.expose_json(), spaced.expose_json());
        }
        (Err(_), Err(_)) => {}
        (token, spaced) => panic!("{token:?}, and with a space {spaced:?}"),
    }
});
