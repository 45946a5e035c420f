//! Settings of callers, and the requests that result.

use std::time::Duration;

use clerk_actor_tokens::RetryConfig;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING,
        UPGRADE,
    },
};

use Step::{Drip, Hang, Request, Respond, Write};

use super::keys;
use crate::harness::{
    caller::Caller,
    checks::{attempts, check, heads, timed_out, waited},
    row::{Row, row},
    run::{End, NS, OK, RJ, UN},
    script::{Op, Step, http1},
};

const S: Duration = Duration::from_secs(1);

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = durations();
    rows.extend(keys::rows());
    rows.extend(base_urls());
    rows.extend(layers());
    rows.extend(ids());
    rows
}

pub(crate) fn success() -> Vec<Step> {
    vec![Request, Respond, Hang]
}

fn durations() -> Vec<Row> {
    let timeouts = |call_timeout, attempt_timeout| Caller {
        call_timeout,
        attempt_timeout,
        ..Caller::default()
    };
    let nano = Duration::from_nanos(1);
    let hang = || vec![Request, Hang];
    let slow = Drip(Op::Create.http1_response(), 3600 * S);
    vec![
        row("a call timeout of zero", success(), (NS, 0), (NS, 0))
            .with_caller(timeouts(Duration::ZERO, S))
            .also(timed_out(true))
            .also(attempts(0)),
        row("an attempt timeout of zero", success(), (NS, 0), (NS, 0))
            .with_caller(timeouts(S, Duration::ZERO))
            .also(timed_out(true))
            .also(waited(Duration::ZERO)),
        // The request may be sent within the tick of the clock.
        row(
            "a call timeout of 1 ns",
            hang(),
            (End::Safe, 1),
            (End::Safe, 1),
        )
        .with_caller(timeouts(nano, S))
        .also(timed_out(true)),
        row(
            "an attempt timeout of 1 ns",
            hang(),
            (End::Safe, 3),
            (End::Safe, 3),
        )
        .with_caller(timeouts(S, nano))
        .also(timed_out(true)),
        row(
            "the longest timeouts",
            vec![Request, slow, Hang],
            (OK, 1),
            (OK, 1),
        )
        .with_caller(timeouts(Duration::MAX, Duration::MAX)),
        row(
            "an attempt timeout longer than the call",
            hang(),
            (UN, 1),
            (UN, 1),
        )
        .with_caller(timeouts(S, 60 * S))
        .also(timed_out(true))
        .also(waited(S)),
        // The second attempt of a revoke has the rest of the call's time.
        row(
            "two attempt timeouts longer than the call",
            hang(),
            (UN, 1),
            (UN, 2),
        )
        .with_caller(timeouts(30 * S, 25 * S))
        .also(check(|run| match run.op {
            Op::Create => waited(25 * S)(run),
            Op::Revoke => waited(30 * S)(run),
        })),
        // No backoff is shorter than the call.
        row(
            "a backoff longer than the call",
            vec![Request, Write(http1(429, "", ""))],
            (RJ, 1),
            (RJ, 1),
        )
        .with_caller(Caller {
            retry: RetryConfig::default()
                .initial_interval(Duration::MAX)
                .max_interval(Duration::MAX),
            ..Caller::default()
        })
        .also(waited(Duration::ZERO)),
    ]
}

/// Several forms of a base URL, with the same path.
fn base_urls() -> Vec<Row> {
    let to = |url: &str| Caller {
        base_url: url.into(),
        ..Caller::default()
    };
    let mut rows = Vec::new();
    for url in [
        "http://127.0.0.1",
        "http://127.0.0.1/",
        "http://127.0.0.1/v1",
        "http://127.0.0.1/v1/",
        "HTTP://LocalHost:8080",
        "http://[::1]:8080/v1/",
        "https://api.clerk.com",
    ] {
        rows.push(
            row(format!("to {url}"), success(), (OK, 1), (OK, 1))
                .with_caller(to(url))
                .also(heads("one to the API", |head| {
                    head.starts_with("post /v1/actor_tokens http/1.1\r\n")
                        || head.starts_with("post /v1/actor_tokens/act_1/revoke http/1.1\r\n")
                })),
        );
    }
    rows.push(
        row("to a gateway", success(), (OK, 1), (OK, 1))
            .with_caller(to("http://127.0.0.1/gateway/clerk/"))
            .also(heads("one to the gateway", |head| {
                head.starts_with("post /gateway/clerk/actor_tokens")
            })),
    );
    rows
}

type ChangeHeaders = fn(&mut HeaderMap);

/// Wire layers of the caller that change headers of the client.
fn layers() -> Vec<Row> {
    let with = |layer: ChangeHeaders| Caller {
        layer,
        ..Caller::default()
    };
    let mut rows = vec![
        // BearerAuth is the last layer and replaces other keys.
        row(
            "a layer that sets Authorization",
            success(),
            (OK, 1),
            (OK, 1),
        )
        .with_caller(with(|headers| {
            headers.append(AUTHORIZATION, HeaderValue::from_static("Basic evil"));
            headers.append(AUTHORIZATION, HeaderValue::from_static("Basic evil"));
        }))
        .also(heads("with our key only", |head| {
            head.matches("\r\nauthorization:").count() == 1
                && head.contains("\r\nauthorization: bearer sk_test_marker\r\n")
        })),
    ];
    // The request could reach another host or be parsed as two requests, so it is refused.
    let framing: [(&str, ChangeHeaders); 10] = [
        ("Host", |headers| set(headers, HOST, "elsewhere.example")),
        ("Connection", |headers| set(headers, CONNECTION, "close")),
        ("Upgrade", |headers| set(headers, UPGRADE, "h2c")),
        ("TE", |headers| set(headers, TE, "trailers")),
        ("Trailer", |headers| set(headers, TRAILER, "x-secret")),
        ("Expect", |headers| set(headers, EXPECT, "100-continue")),
        ("Transfer-Encoding", |headers| {
            set(headers, TRANSFER_ENCODING, "chunked");
        }),
        ("a Content-Length that is too short", |headers| {
            set(headers, CONTENT_LENGTH, "1");
        }),
        ("a Content-Length that is too long", |headers| {
            set(headers, CONTENT_LENGTH, "999999");
        }),
        ("a second Content-Length", |headers| {
            headers.append(CONTENT_LENGTH, 1.into());
        }),
    ];
    for (what, layer) in framing {
        let name = format!("a layer that sets {what}");
        rows.push(row(name, success(), (NS, 0), (NS, 0)).with_caller(with(layer)));
    }
    rows
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// Each accepted id is one path segment, unchanged.
fn ids() -> Vec<Row> {
    const CHARS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    let mut random = fastrand::Rng::with_seed(20_260_512);
    let mut ids = vec!["-".to_owned(), "_".into(), "revoke".into(), "a".repeat(128)];
    ids.extend((0..100).map(|_| {
        let length = random.usize(1..=128);
        let byte = |_| char::from(CHARS[random.usize(..CHARS.len())]);
        (0..length).map(byte).collect()
    }));
    let of = |id: String| {
        let response = format!(r#"{{"id":"{id}","user_id":"user_1"}}"#);
        let script = vec![Request, Write(http1(200, "", &response)), Hang];
        let name = format!("the id {}", id.get(..20).unwrap_or(&id));
        let caller = Caller {
            id: id.clone(),
            ..Caller::default()
        };
        row(name, script, (OK, 1), (OK, 1))
            .with_caller(caller)
            .also(check(move |run| {
                let revoke = format!("POST /v1/actor_tokens/{id}/revoke HTTP/1.1\r\n");
                let create = "POST /v1/actor_tokens HTTP/1.1\r\n".into();
                let expected = if run.op == Op::Revoke { revoke } else { create };
                let heads = run.seen.heads.lock().unwrap();
                match heads.iter().all(|head| head.starts_with(&expected)) {
                    true => Ok(()),
                    false => Err("wrong path".into()),
                }
            }))
    };
    ids.into_iter().map(of).collect()
}
