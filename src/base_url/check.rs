//! What is checked of a base URL, part by part.

use std::net::{IpAddr, Ipv6Addr};

use http::uri::Authority;

use super::InvalidBaseUrl;

/// `Authority` accepts hosts that no resolver and no certificate knows.
pub(super) fn host(host: &str) -> Result<(), InvalidBaseUrl> {
    let is_right = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => host.len() <= 253 && host.split('.').all(is_label),
    };
    if is_right {
        Ok(())
    } else {
        Err(InvalidBaseUrl::Host)
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(allowed)
}

pub(super) fn port(authority: &Authority) -> Result<(), InvalidBaseUrl> {
    // `Authority` accepts ports that no socket has, and then reports none at all.
    let after_host = authority
        .as_str()
        .get(authority.host().len()..)
        .unwrap_or_default();
    match after_host.strip_prefix(':') {
        None if after_host.is_empty() => Ok(()),
        Some(port) if !port.starts_with('+') && port.parse::<u16>().is_ok_and(|it| it > 0) => {
            Ok(())
        }
        _ => Err(InvalidBaseUrl::Port),
    }
}

/// The path without trailing slashes; `default` in place of none.
pub(super) fn path(path: &str, default: &str) -> Result<String, InvalidBaseUrl> {
    if path.starts_with('?') {
        return Err(InvalidBaseUrl::Query);
    }
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Ok(default.into());
    }
    let is_dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    let hostile = |byte: u8| byte == b'\\' || !byte.is_ascii_graphic();
    if path
        .split('/')
        .skip(1)
        .any(|segment| segment.is_empty() || is_dots(segment))
        || path.bytes().any(hostile)
    {
        return Err(InvalidBaseUrl::Path);
    }
    Ok(path.into())
}

pub(super) fn is_loopback(host: &str) -> bool {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
