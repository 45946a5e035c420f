//! What callers choose, and what is sent of it.

use std::time::Duration;

use clerk_actor_tokens::RetryConfig;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING,
        UPGRADE,
    },
};

use Step::{Answer, Drip, Hang, Request, Write};

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

pub(crate) fn well() -> Vec<Step> {
    vec![Request, Answer, Hang]
}

fn durations() -> Vec<Row> {
    let within = |call_timeout, attempt_timeout| Caller {
        call_timeout,
        attempt_timeout,
        ..Caller::default()
    };
    let nano = Duration::from_nanos(1);
    let nothing = || vec![Request, Hang];
    let slow = Drip(Op::Create.http1_answer(), 3600 * S);
    vec![
        row("no time for the call", well(), (NS, 0), (NS, 0))
            .by(within(Duration::ZERO, S))
            .also(timed_out(true))
            .also(attempts(0)),
        row("no time for the attempt", well(), (NS, 0), (NS, 0))
            .by(within(S, Duration::ZERO))
            .also(timed_out(true))
            .also(waited(Duration::ZERO)),
        // Whether a request gets out within the tick of the clock is all the same.
        row(
            "1 ns for the call",
            nothing(),
            (End::Safe, 1),
            (End::Safe, 1),
        )
        .by(within(nano, S))
        .also(timed_out(true)),
        row(
            "1 ns for the attempt",
            nothing(),
            (End::Safe, 3),
            (End::Safe, 3),
        )
        .by(within(S, nano))
        .also(timed_out(true)),
        row(
            "all the time there is",
            vec![Request, slow, Hang],
            (OK, 1),
            (OK, 1),
        )
        .by(within(Duration::MAX, Duration::MAX)),
        row(
            "an attempt longer than the call",
            nothing(),
            (UN, 1),
            (UN, 1),
        )
        .by(within(S, 60 * S))
        .also(timed_out(true))
        .also(waited(S)),
        // The second attempt of a revoke gets what is left.
        row(
            "two attempts longer than the call",
            nothing(),
            (UN, 1),
            (UN, 2),
        )
        .by(within(30 * S, 25 * S))
        .also(check(|run| match run.op {
            Op::Create => waited(25 * S)(run),
            Op::Revoke => waited(30 * S)(run),
        })),
        // Pauses without bound, of which none fits into the call.
        row(
            "a pause longer than the call",
            vec![Request, Write(http1(429, "", ""))],
            (RJ, 1),
            (RJ, 1),
        )
        .by(Caller {
            retry: RetryConfig::default()
                .initial_interval(Duration::MAX)
                .max_interval(Duration::MAX),
            ..Caller::default()
        })
        .also(waited(Duration::ZERO)),
    ]
}

/// What can be said in several ways leads to one place.
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
            row(format!("to {url}"), well(), (OK, 1), (OK, 1))
                .by(to(url))
                .also(heads("one to the API", |head| {
                    head.starts_with("post /v1/actor_tokens http/1.1\r\n")
                        || head.starts_with("post /v1/actor_tokens/act_1/revoke http/1.1\r\n")
                })),
        );
    }
    rows.push(
        row("to a gateway", well(), (OK, 1), (OK, 1))
            .by(to("http://127.0.0.1/of/mine/"))
            .also(heads("one to the gateway", |head| {
                head.starts_with("post /of/mine/actor_tokens")
            })),
    );
    rows
}

type Meddle = fn(&mut HeaderMap);

/// Layers of the caller's own that meddle with what is not theirs.
fn layers() -> Vec<Row> {
    let with = |layer: Meddle| Caller {
        layer,
        ..Caller::default()
    };
    let mut rows = vec![
        // The key comes last, and is the only one.
        row("a layer that sets Authorization", well(), (OK, 1), (OK, 1))
            .by(with(|headers| {
                headers.append(AUTHORIZATION, HeaderValue::from_static("Basic evil"));
                headers.append(AUTHORIZATION, HeaderValue::from_static("Basic evil"));
            }))
            .also(heads("with our key alone", |head| {
                head.matches("\r\nauthorization:").count() == 1
                    && head.contains("\r\nauthorization: bearer sk_test_marker\r\n")
            })),
    ];
    // The message could reach another host or be read as two requests, so it is refused.
    let framing: [(&str, Meddle); 10] = [
        ("Host", |headers| set(headers, HOST, "elsewhere.example")),
        ("Connection", |headers| set(headers, CONNECTION, "close")),
        ("Upgrade", |headers| set(headers, UPGRADE, "h2c")),
        ("TE", |headers| set(headers, TE, "trailers")),
        ("Trailer", |headers| set(headers, TRAILER, "x-secret")),
        ("Expect", |headers| set(headers, EXPECT, "100-continue")),
        ("Transfer-Encoding", |headers| {
            set(headers, TRANSFER_ENCODING, "chunked");
        }),
        ("too short a Content-Length", |headers| {
            set(headers, CONTENT_LENGTH, "1");
        }),
        ("too long a Content-Length", |headers| {
            set(headers, CONTENT_LENGTH, "999999");
        }),
        ("two of Content-Length", |headers| {
            headers.append(CONTENT_LENGTH, 1.into());
        }),
    ];
    for (what, layer) in framing {
        let name = format!("a layer that sets {what}");
        rows.push(row(name, well(), (NS, 0), (NS, 0)).by(with(layer)));
    }
    rows
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// Whatever id is accepted, it is one segment of the path, as it is.
fn ids() -> Vec<Row> {
    const OF: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    let mut random = fastrand::Rng::with_seed(20_260_512);
    let mut ids = vec!["-".to_owned(), "_".into(), "revoke".into(), "a".repeat(128)];
    ids.extend((0..100).map(|_| {
        let length = random.usize(1..=128);
        let byte = |_| char::from(OF[random.usize(..OF.len())]);
        (0..length).map(byte).collect()
    }));
    let of = |id: String| {
        let answer = format!(r#"{{"id":"{id}","user_id":"user_1"}}"#);
        let script = vec![Request, Write(http1(200, "", &answer)), Hang];
        let name = format!("the id {}", id.get(..20).unwrap_or(&id));
        let caller = Caller {
            id: id.clone(),
            ..Caller::default()
        };
        row(name, script, (OK, 1), (OK, 1))
            .by(caller)
            .also(check(move |run| {
                let revoke = format!("POST /v1/actor_tokens/{id}/revoke HTTP/1.1\r\n");
                let create = "POST /v1/actor_tokens HTTP/1.1\r\n".into();
                let wanted = if run.op == Op::Revoke { revoke } else { create };
                let heads = run.seen.heads.lock().unwrap();
                match heads.iter().all(|head| head.starts_with(&wanted)) {
                    true => Ok(()),
                    false => Err("the path is another".into()),
                }
            }))
    };
    ids.into_iter().map(of).collect()
}
