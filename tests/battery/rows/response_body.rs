//! What can come in place of a response body.

use std::time::Duration;

use Step::{Hang, Repeat, Request, Write};

use crate::harness::{
    row::{AP, OK, RJ, Row, UN, row},
    script::{Op, Step, http1},
};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = unreadable();
    rows.extend(lenient());
    rows.extend(errors());
    rows.extend(framing());
    rows
}

/// 200s that are not the token that was asked for.
fn unreadable() -> Vec<Row> {
    let nothing = [
        ("empty", ""),
        ("null", "null"),
        ("an empty array", "[]"),
        ("a text", "\"MARKER\""),
        ("an array of texts", r#"["act_1","MARKER"]"#),
        ("HTML", "<html>MARKER</html>"),
        ("gzip unasked", "\u{1f}\u{8b}\u{8}MARKER"),
    ];
    let mut rows: Vec<_> = nothing
        .into_iter()
        .map(|(name, body)| row(name, answer(200, body), (UN, 1), (UN, 1)))
        .collect();
    let tokens = [
        (
            "an array in place of the object",
            r#"[{"id":"act_1","user_id":"user_1","token":"MARKER"}]"#,
        ),
        (
            "a byte order mark",
            "\u{feff}{\"id\":\"act_1\",\"user_id\":\"user_1\",\"token\":\"MARKER\"}",
        ),
        (
            "trailing garbage",
            r#"{"id":"act_1","user_id":"user_1"}MARKER"#,
        ),
        (
            "two documents",
            r#"{"id":"act_1","user_id":"user_1"}{"id":"MARKER"}"#,
        ),
        (
            "a duplicate id",
            r#"{"id":"act_1","id":"MARKER","user_id":"user_1"}"#,
        ),
        (
            "a lone surrogate",
            r#"{"id":"act_1","user_id":"user_1","token":"\ud800MARKER"}"#,
        ),
        ("no id", r#"{"user_id":"user_1","token":"MARKER"}"#),
        (
            "a null id",
            r#"{"id":null,"user_id":"user_1","token":"MARKER"}"#,
        ),
        (
            "an id of the wrong type",
            r#"{"id":["MARKER"],"user_id":"user_1"}"#,
        ),
        (
            "an id that is a path",
            r#"{"id":"../MARKER","user_id":"user_1"}"#,
        ),
    ];
    rows.extend(
        tokens
            .into_iter()
            .map(|(name, body)| row(name, answer(200, body), (AP, 1), (AP, 1))),
    );
    for (name, user) in [
        ("no user", ""),
        ("a null user", r#","user_id":null"#),
        ("another user", r#","user_id":"MARKER""#),
    ] {
        let body = format!(r#"{{"id":"act_1"{user}}}"#);
        rows.push(row(name, answer(200, &body), (AP, 1), (OK, 1)));
    }
    rows
}

/// 200s that are odd, but whose credential must not be lost.
fn lenient() -> Vec<Row> {
    let oddities = [
        r#""status":"paused""#,
        r#""status":null"#,
        r#""status":7"#,
        r#""token":null"#,
        r#""url":7"#,
        r#""actor":null"#,
        r#""actor":"MARKER""#,
        r#""actor":[]"#,
        r#""created_at":1e400"#,
        r#""created_at":"1""#,
        r#""created_at":-1"#,
        r#""updated_at":null"#,
        r#""object":"other""#,
        r#""new":{"deep":[{"er":null}]}"#,
    ];
    let mut rows: Vec<_> = oddities
        .into_iter()
        .map(|odd| {
            let body = format!(r#"{{"id":"act_1","user_id":"user_1",{odd}}}"#);
            row(odd, answer(200, &body), (OK, 1), (OK, 1))
        })
        .collect();
    let deep = format!(
        r#"{{"id":"act_1","user_id":"user_1","actor":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    rows.push(row(
        "an actor 100 000 levels deep",
        answer(200, &deep),
        (OK, 1),
        (OK, 1),
    ));
    rows
}

/// Error bodies.
fn errors() -> Vec<Row> {
    let many = format!(
        r#"{{"errors":[{}{{}}]}}"#,
        r#"{"code":"x"},"#.repeat(10_000)
    );
    let bodies = [
        ("empty", ""),
        ("no errors", "{}"),
        ("errors an object", r#"{"errors":{}}"#),
        ("ten thousand errors", many.as_str()),
        (
            "control characters",
            "{\"errors\":[{\"message\":\"\\u001b[31m\\r\\n\"}]}",
        ),
        (
            "our key echoed",
            r#"{"errors":[{"message":"sk_test_MARKER is wrong"}]}"#,
        ),
        ("HTML from the edge", "<html>MARKER</html>"),
    ];
    let mut rows = Vec::new();
    for (name, body) in bodies {
        rows.push(row(
            format!("404, {name}"),
            closing(404, body),
            (RJ, 1),
            (RJ, 1),
        ));
        rows.push(row(
            format!("502, {name}"),
            closing(502, body),
            (UN, 1),
            (UN, 3),
        ));
    }
    let endless = |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n");
        vec![
            Request,
            Write(head.into_bytes()),
            Repeat(b"1\r\nx\r\n".to_vec(), Duration::from_millis(100)),
        ]
    };
    rows.push(row(
        "a 404 that never ends",
        endless("404 Not Found"),
        (RJ, 1),
        (RJ, 1),
    ));
    rows.push(row(
        "a 502 that never ends",
        endless("502 Bad Gateway"),
        (UN, 1),
        (UN, 3),
    ));
    rows.push(row(
        "a 200 that never ends",
        endless("200 OK"),
        (UN, 1),
        (UN, 3),
    ));
    rows
}

/// Answers cut at every byte, in all three framings.
fn framing() -> Vec<Row> {
    let body = Op::Create.answer();
    let long = format!(
        r#"{{"id":"act_1","user_id":"user_1","token":"{}"}}"#,
        "MARKER".repeat(50_000)
    );
    let declared = b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551610\r\n\r\n{".to_vec();
    let hangs = vec![Request, Write(cut_by_length(body, 20)), Hang];
    let mut rows = vec![
        row("over the limit", answer(200, &long), (AP, 1), (AP, 1)),
        row(
            "a length beyond all memory",
            vec![Request, Write(declared)],
            (UN, 1),
            (UN, 3),
        ),
        row("a body that hangs", hangs, (UN, 1), (UN, 3)),
    ];
    // From here on the id has come whole, and with it the knowledge that there is a token.
    let known = body.find("act_1\"").unwrap() + "act_1\"".len();
    for at in 0..body.len() {
        // What breaks off is seen below retry; what merely ends too soon, above it.
        let (create, broken, ended) = if at < known {
            ((UN, 1), (UN, 3), (UN, 1))
        } else {
            ((AP, 1), (AP, 1), (AP, 1))
        };
        let length = vec![Request, Write(cut_by_length(body, at))];
        let chunked = vec![Request, Write(cut_in_chunk(body, at))];
        let close = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
            &body[..at]
        );
        let close = vec![Request, Write(close.into_bytes())];
        rows.push(row(
            format!("cut at byte {at}, content length"),
            length,
            create,
            broken,
        ));
        rows.push(row(
            format!("cut at byte {at}, chunked"),
            chunked,
            create,
            broken,
        ));
        rows.push(row(
            format!("cut at byte {at}, close-delimited"),
            close,
            create,
            ended,
        ));
    }
    rows
}

fn answer(status: u16, body: &str) -> Vec<Step> {
    vec![Request, Write(http1(status, "", body)), Hang]
}

/// The same, and the connection is closed.
fn closing(status: u16, body: &str) -> Vec<Step> {
    vec![Request, Write(http1(status, "", body))]
}

fn cut_by_length(body: &str, at: usize) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}",
        &body[..at]
    )
    .into_bytes()
}

fn cut_in_chunk(body: &str, at: usize) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{}",
        &body[..at]
    )
    .into_bytes()
}
