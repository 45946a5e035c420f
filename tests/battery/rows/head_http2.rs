//! Response heads over HTTP/2.

use std::time::Duration;

use Step::{Drip, Hang, Repeat, Request, RespondOn, Write};

use super::{
    body_http2::each,
    response_head::{IGNORED, REDIRECTS},
};
use crate::harness::{
    checks::{connections, status, timed_out},
    h2_frames::{begun_head, data, end, head, head_with, more_of_head, response, response_with},
    row::{Row, row2},
    run::{OK, UN},
    script::{Op, Step, http1},
};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = slow();
    rows.extend(invalid());
    for code in [301, 302, 303, 307, 308] {
        for location in REDIRECTS {
            let redirect = |stream| response_with(stream, code, &[("location", location)], b"");
            let name = format!("{code} to {location}");
            rows.push(each(name, (UN, 1), (UN, 3), redirect).also(status(code)));
        }
    }
    for headers in IGNORED {
        let response = |stream| {
            let token = br#"{"id":"act_1","user_id":"user_1"}"#;
            response_with(stream, 200, headers, token)
        };
        rows.push(
            each(format!("{headers:?}"), (OK, 1), (OK, 1), response)
                .after_successful_call()
                .also(connections(1)),
        );
    }
    rows
}

/// Heads that arrive late or never.
fn slow() -> Vec<Row> {
    let body = Op::Create.body().as_bytes();
    let early = |stream| head_with(stream, "103", &[("link", "</x>")]);
    vec![
        row2("no response", vec![Request; 4], (UN, 1), (UN, 3)).also(timed_out(true)),
        row2(
            "one byte every 5 ms",
            vec![
                Request,
                Drip(response(1, 200, body), Duration::from_millis(5)),
                Hang,
            ],
            (OK, 1),
            (OK, 1),
        ),
        row2(
            "a slow head that never ends",
            vec![
                Request,
                Write(begun_head(1, "200")),
                Repeat(more_of_head(1), Duration::from_secs(1)),
            ],
            (UN, 1),
            (UN, 1),
        )
        .pooled_revoke((UN, 3))
        .also(timed_out(true)),
        row2(
            "103 without end",
            vec![Request, Repeat(head(1, 103), Duration::from_millis(10))],
            (UN, 1),
            (UN, 1),
        )
        .pooled_revoke((UN, 3))
        .also(timed_out(true)),
        row2(
            "103, then the response",
            vec![Request, Write(early(1)), RespondOn(1), Hang],
            (OK, 1),
            (OK, 1),
        ),
        row2(
            "a second response appended",
            vec![
                Request,
                RespondOn(1),
                Write(response(1, 500, b"")),
                Request,
                RespondOn(3),
                Hang,
            ],
            (OK, 1),
            (OK, 1),
        )
        .after_successful_call(),
    ]
}

/// A 200 with these headers, which is not a response of the API.
fn with(name: &str, headers: &[(&str, &str)]) -> Row {
    each(name, (UN, 1), (UN, 3), |stream| {
        response_with(stream, 200, headers, b"{}")
    })
}

/// Responses that cannot come from the API, so that a create is not sent again.
fn invalid() -> Vec<Row> {
    let big = "x".repeat(600_000);
    let mut rows = vec![
        each("101", (UN, 1), (UN, 3), |stream| response(stream, 101, b"")),
        with("600 KB of header", &[("x", &big)]),
        with("NUL in a header", &[("x", "\0")]),
        with("a header in capitals", &[("X", "y")]),
        with("a second status", &[(":status", "200")]),
        with("a header named connection", &[("connection", "x")]),
        with(
            "two content lengths",
            &[("content-length", "2"), ("content-length", "3")],
        ),
    ];
    for length in [
        "1",
        "3",
        "+2",
        "18446744073709551616",
        "18446744073709551610",
    ] {
        let name = format!("content length {length} of 2");
        rows.push(with(&name, &[("content-length", length)]));
    }
    for status in ["99", "1000", "abc", ""] {
        let name = format!("status {status:?}");
        rows.push(each(name, (UN, 1), (UN, 3), |stream| {
            [head_with(stream, status, &[]), end(stream)].concat()
        }));
    }
    rows.push(each("a body before its head", (UN, 1), (UN, 3), |stream| {
        data(stream, b"{}")
    }));
    for (name, bytes) in [
        ("HTTP/1.1", http1(200, "", Op::Create.body())),
        ("HTTP/0.9", b"<html>MARKER</html>".to_vec()),
        ("TLS bytes", vec![0x15, 3, 1, 0, 2, 2, 70]),
        ("an SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
    ] {
        let script = vec![Request, Write(bytes)];
        rows.push(row2(name, script, (UN, 1), (UN, 3)));
    }
    rows
}
