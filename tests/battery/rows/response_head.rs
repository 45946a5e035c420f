//! Response heads over HTTP/1.1.

use std::time::Duration;

use Step::{Drip, Hang, Repeat, Request, Respond, Write};

use crate::harness::{
    checks::{connections, heads, status, timed_out},
    row::{Row, row},
    run::{OK, UN},
    script::{Op, Step, http1, http1_with},
};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        row("no response", vec![Request, Hang], (UN, 1), (UN, 3)).also(timed_out(true)),
        row(
            "one byte every 5 ms",
            vec![
                Request,
                Drip(Op::Create.http1_response(), Duration::from_millis(5)),
                Hang,
            ],
            (OK, 1),
            (OK, 1),
        ),
        row(
            "a header that never ends",
            vec![
                Request,
                Write(b"HTTP/1.1 200 OK\r\nx: ".to_vec()),
                Repeat(b"x".to_vec(), Duration::from_secs(1)),
            ],
            (UN, 1),
            (UN, 3),
        )
        .also(timed_out(true)),
        row(
            "103 without end",
            vec![
                Request,
                Repeat(
                    b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(),
                    Duration::from_millis(10),
                ),
            ],
            (UN, 1),
            (UN, 3),
        )
        .also(timed_out(true)),
        row(
            "103, then the response",
            vec![
                Request,
                Write(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_vec()),
                Respond,
                Hang,
            ],
            (OK, 1),
            (OK, 1),
        ),
        // It belongs to no request, so the connection is not reused.
        row(
            "a second response appended",
            vec![Request, Respond, Write(http1(500, "", "")), Hang],
            (OK, 1),
            (OK, 1),
        )
        .after_successful_call()
        .also(connections(2)),
    ];
    // None of these is a response of the API, so a create is not sent again.
    let garbage: [(&str, Vec<u8>); 13] = [
        (
            "101",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n".to_vec(),
        ),
        (
            "600 KB of header",
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(600_000)).into_bytes(),
        ),
        (
            "101 headers",
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101)).into_bytes(),
        ),
        (
            "NUL in a header",
            b"HTTP/1.1 200 OK\r\nx: \0\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ),
        (
            "status 99",
            b"HTTP/1.1 99 X\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ),
        ("HTTP/0.9", b"<html>MARKER</html>".to_vec()),
        ("TLS bytes", vec![0x15, 3, 1, 0, 2, 2, 70]),
        ("an SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        (
            "two content lengths",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}".to_vec(),
        ),
        (
            "content length +3",
            b"HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\n{ }".to_vec(),
        ),
        (
            "content length 2^64",
            b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n{}".to_vec(),
        ),
        ("a blank line", b"\r\n\r\n".to_vec()),
        ("a head cut short", b"HTTP/1.1 200 O".to_vec()),
    ];
    for (name, bytes) in garbage {
        rows.push(row(name, vec![Request, Write(bytes)], (UN, 1), (UN, 3)));
    }
    for code in [301, 302, 303, 307, 308] {
        for location in REDIRECTS {
            let response = http1_with(code, &[("location", location)], b"");
            let name = format!("{code} to {location}");
            rows.push(
                row(name, vec![Request, Write(response)], (UN, 1), (UN, 3)).also(status(code)),
            );
        }
    }
    for status in [201, 202, 206] {
        let response = http1(status, "", Op::Create.body());
        rows.push(row(
            format!("{status}"),
            vec![Request, Write(response)],
            (UN, 1),
            (UN, 3),
        ));
    }
    let no_content = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    rows.push(row(
        "204",
        vec![Request, Write(no_content)],
        (UN, 1),
        (UN, 3),
    ));
    for headers in IGNORED {
        let response = http1_with(200, headers, br#"{"id":"act_1","user_id":"user_1"}"#);
        // The second call must not change.
        let script = [
            Request,
            Write(response.clone()),
            Request,
            Write(response),
            Hang,
        ];
        rows.push(
            row(format!("{headers:?}"), script.into(), (OK, 1), (OK, 1))
                .after_successful_call()
                .also(connections(1))
                .also(heads("like the first", |head| {
                    !head.contains("cookie") && head.contains("accept-encoding: identity\r\n")
                })),
        );
    }
    rows
}

/// Targets of redirects, which are not followed.
pub(crate) const REDIRECTS: [&str; 3] = [
    "/v1/other",
    "https://MARKER.example/",
    "http://127.0.0.1/MARKER",
];

type Headers = &'static [(&'static str, &'static str)];

/// Headers that do not change the result.
pub(crate) const IGNORED: [Headers; 7] = [
    &[],
    &[("content-type", "text/json")],
    &[("content-type", "application/json; charset=utf-8")],
    &[("content-type", "application/problem+json")],
    &[("content-type", "text/html; charset=MARKER")],
    &[("set-cookie", "a=MARKER; path=/")],
    &[("retry-after", "60"), ("location", "/MARKER")],
];
