//! The longest host of a base URL is the longest name of DNS.

use clerk_actor_tokens::{BaseUrl, InvalidBaseUrl};

#[test]
fn host_beyond_253_bytes_is_refused() {
    let longest = ["a".repeat(63).as_str(); 4].join(".")[..253].to_owned();
    for rest in ["", ":8443/v1"] {
        let parse = |host: &str| format!("https://{host}{rest}").parse::<BaseUrl>();
        assert!(parse(&longest).is_ok());
        assert_eq!(parse(&format!("{longest}a")), Err(InvalidBaseUrl::Host));
    }
}
