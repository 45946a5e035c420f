//! What can come in place of a response body.

use std::time::Duration;

use Step::{Hang, Repeat, Request, Write};

use super::answers::{self, Answer};
use crate::harness::{
    row::{AP, RJ, Row, UN, row},
    script::{Op, Step, http1},
};

pub(crate) fn rows() -> Vec<Row> {
    let of_answer = |it: Answer| {
        row(
            it.name,
            answer(200, &it.body),
            (it.create, 1),
            (it.revoke, 1),
        )
    };
    let mut rows: Vec<_> = answers::all().into_iter().map(of_answer).collect();
    rows.extend(errors());
    rows.extend(framing());
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
    let known = known(body);
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

/// From how many bytes on the id of a token is known.
pub(crate) fn known(body: &str) -> usize {
    body.find("act_1\"").unwrap() + "act_1\"".len()
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
