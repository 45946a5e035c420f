//! Any text as a base URL: requests go to the host and port that it names.

#![no_main]

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex},
};

use clerk_actor_tokens::{BaseUrl, ClientBuilder};
use clerk_actor_tokens_fuzz::{Op, TOKEN_ID, block_on, call, key, transport::recording};
use http::Uri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let base: BaseUrl = match text.parse() {
        Ok(base) => base,
        Err(error) => {
            let error: clerk_actor_tokens::InvalidBaseUrl = error;
            assert!(error.to_string().len() < 200);
            return;
        }
    };
    let shown = base.to_string();
    let (scheme, rest) = shown.split_once("://").expect("a scheme");
    let (authority, path) = rest.split_at(rest.find('/').expect("a path"));

    check_server(scheme, authority, text);
    check_path(path);
    let again: BaseUrl = shown.parse().expect("a base URL can be parsed again");
    assert_eq!(again, base);
    assert_eq!(again.to_string(), shown);
    assert!(again.has_same_authority(&base));

    for (op, under) in [
        (Op::Create, "/actor_tokens".to_owned()),
        (Op::Revoke, format!("/actor_tokens/{TOKEN_ID}/revoke")),
    ] {
        let uri = sent(&base, op);
        assert_eq!(uri.scheme_str(), Some(scheme));
        assert_eq!(uri.authority().map(|it| it.as_str()), Some(authority));
        assert_eq!(uri.path(), format!("{path}{under}"));
        assert_eq!(uri.query(), None);
    }
});

/// Returns the URI of the only request of a call.
fn sent(base: &BaseUrl, op: Op) -> Uri {
    let seen = Arc::<Mutex<Vec<Uri>>>::default();
    let client = ClientBuilder::over(key(), recording(&seen)).base_url(base.clone());
    let client = client.build().expect("valid options");
    let result = block_on(call(&client, op));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1, "{result:?}");
    seen[0].clone()
}

fn check_server(scheme: &str, authority: &str, text: &str) {
    assert!(!authority.contains('@'), "user information");
    let given = text.split_once("://").expect("a scheme");
    let given = given.1.split(['/', '?', '#']).next();
    assert_eq!(given, Some(authority), "another server");

    let host_end = authority.rfind(']').map_or_else(
        || authority.find(':').unwrap_or(authority.len()),
        |bracket| bracket + 1,
    );
    let (host, port) = authority.split_at(host_end);
    assert!(is_host(host), "not a host: {host}");
    if let Some(port) = port.strip_prefix(':') {
        let digits = port.chars().all(|c| c.is_ascii_digit());
        assert!(digits && port.parse::<u16>().is_ok_and(|port| port > 0));
    } else {
        assert!(port.is_empty());
    }
    if scheme != "https" {
        assert_eq!(scheme, "http");
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = host.eq_ignore_ascii_case("localhost")
            || (address.parse::<IpAddr>()).is_ok_and(|address| address.is_loopback());
        assert!(is_loopback, "plain HTTP to {host}");
    }
}

/// Returns whether this is a name, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(address) => address
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && !host.contains(['[', ']', ':']),
    }
}

fn check_path(path: &str) {
    assert!(!path.contains(['?', '#', '\\']) && path.chars().all(|c| c.is_ascii_graphic()));
    assert!(!path.ends_with('/'));
    for segment in path.split('/').skip(1) {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        assert!(!matches!(&*plain, "" | "." | ".."), "{path}");
    }
}
