//! Any text as the configuration of a gateway: an accepted one keeps its limits, and no message shows a key.
//!
//! `~K~` becomes a secret key.

#![no_main]

use std::time::Duration;

use clerk_actor_tokens_fuzz::{MARKER, response::with_key};
use clerk_actor_tokens_gateway::{Config, config::SecretFrom};
use clerk_actor_tokens_policy::{Limit, Policy};
use libfuzzer_sys::fuzz_target;
use toml::{Table, Value};

const DAY: Duration = Duration::from_secs(86_400);

fuzz_target!(|text: &str| {
    let text = String::from_utf8(with_key(text.as_bytes())).expect("UTF-8 with a key");
    let table: Option<Table> = text.parse().ok();
    let config: Result<Config, _> = text.parse();
    let shown = match &config {
        Ok(config) => {
            let table = table.as_ref().expect("a configuration is TOML");
            assert!(
                !table
                    .iter()
                    .any(|(name, value)| is_key(name) || has_key(value))
            );
            check(config);
            config.warnings().join("\n")
        }
        Err(error) => format!("{error}\n{error:?}\n{error:#?}"),
    };
    // Names of fields and places of secrets are shown.
    if !table.is_some_and(|table| table.iter().any(shows_marker)) {
        assert!(!shown.contains(MARKER), "a value shows: {shown}");
    }
});

/// Returns whether this is a secret key, after white space.
fn is_key(text: &str) -> bool {
    text.trim().starts_with("sk_")
}

fn has_key(value: &Value) -> bool {
    match value {
        Value::String(text) => is_key(text),
        Value::Array(list) => list.iter().any(has_key),
        Value::Table(table) => table
            .iter()
            .any(|(name, value)| is_key(name) || has_key(value)),
        _ => false,
    }
}

/// Returns whether the marker is in a name that does not read like a key, or in the place of a secret.
fn shows_marker((name, value): (&String, &Value)) -> bool {
    let is_place = ["file", "env"].contains(&&**name);
    let is_shown = name.contains(MARKER) && !is_key(name);
    is_shown || is_place && value.to_string().contains(MARKER) || is_within(value)
}

fn is_within(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(is_within),
        Value::Table(table) => table.iter().any(shows_marker),
        _ => false,
    }
}

fn check(config: &Config) {
    let (server, console) = (&config.server, &config.console);
    assert!(server.listen.ip().is_loopback() || server.tls.is_some());
    for limit in [server.max_connections, server.max_calls] {
        assert!((1..=usize::MAX >> 3).contains(&limit), "{limit}");
    }
    let times = [
        server.head_timeout,
        server.body_timeout,
        config.clerk.call_timeout,
        config.storage.anchor_every,
        console.idle,
        console.longest,
    ];
    assert!(times.iter().all(|time| !time.is_zero() && *time <= DAY));
    assert!(server.grace <= DAY && server.drain <= DAY);
    assert!(config.storage.keep_days > 0 && config.quota.per_month != Some(0));

    let secrets: Vec<&SecretFrom> = config.keys.values().flatten().collect();
    for (index, secret) in secrets.iter().enumerate() {
        assert!(!secrets[..index].contains(secret) && **secret != config.clerk.secret_key);
    }
    assert!(config.keys.values().all(|sources| !sources.is_empty()));
    let mut hashes = Vec::new();
    for (name, operator) in &config.operators {
        assert!(is_name(name) && !operator.roles.is_empty());
        let hash = hex::decode(&operator.token_sha256).expect("a hash");
        assert!(hash.len() == 32 && !hashes.contains(&hash));
        hashes.push(hash);
    }
    assert!(config.keys.keys().all(|name| is_name(name)));

    let written = serde_json::to_value(&config.policy).expect("a policy can be written");
    let policy: Policy =
        serde_json::from_value(written.clone()).expect("a written policy can be read");
    assert_eq!(
        serde_json::to_value(policy).expect("a policy can be written"),
        written
    );
    for limit in &config.limits {
        let written = serde_json::to_string(limit).expect("a limit can be written");
        assert_eq!(
            serde_json::from_str::<Limit>(&written).expect("a limit"),
            *limit
        );
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(allowed)
}
