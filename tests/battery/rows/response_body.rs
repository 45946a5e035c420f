//! What can come in place of a response body.

use std::time::Duration;

use Step::{Flood, Hang, Repeat, Request, Write};

use super::{
    answers::{self, Answer},
    error_bodies, fields,
};
use crate::harness::{
    checks::{flooded, salvaged, status, timed_out},
    gzip,
    row::{Row, row},
    run::{AP, OK, RJ, UN},
    script::{Op, Step, http1_with},
};

/// The longest answer that is read, and what lies about in a pipe.
const READ_AT_MOST: usize = 3 << 20;

pub(crate) fn rows() -> Vec<Row> {
    let answers = answers::all().into_iter().chain(fields::all());
    let mut rows: Vec<_> = answers.map(answered).collect();
    rows.extend(errors());
    rows.extend(too_long());
    rows.extend(endless());
    rows.extend(cut());
    rows
}

fn answered(it: Answer) -> Row {
    let response = vec![Request, Write(http1_with(200, it.headers, &it.body))];
    let script = [vec![response; 3].concat(), vec![Hang]].concat();
    let mut row = row(it.name, script, (it.create, 1), it.revoke);
    row.also = it.also;
    row
}

/// Error bodies.
fn errors() -> Vec<Row> {
    let mut rows = Vec::new();
    for it in error_bodies::all() {
        for (code, create, revoke) in [(404, (RJ, 1), (RJ, 1)), (502, (UN, 1), (UN, 3))] {
            let answer = http1_with(code, it.headers, it.body.as_bytes());
            let name = format!("{code}, {}", it.name);
            rows.push(
                row(name, vec![Request, Write(answer)], create, revoke)
                    .also(status(code))
                    .also(it.also.clone()),
            );
        }
    }
    rows
}

/// Bodies that do not end in time.
fn endless() -> Vec<Row> {
    let trickle = |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n");
        vec![
            Request,
            Write(head.into_bytes()),
            Repeat(b"1\r\nx\r\n".to_vec(), Duration::from_millis(100)),
        ]
    };
    let hangs_at = |at| vec![Request, Write(cut_by_length(Op::Create.answer(), at)), Hang];
    [
        row("a 404 that never ends", trickle("404 X"), (RJ, 1), (RJ, 1)).also(status(404)),
        row("a 502 that never ends", trickle("502 X"), (UN, 1), (UN, 3)),
        row("a 200 that never ends", trickle("200 X"), (UN, 1), (UN, 3)),
        row("a body that hangs", hangs_at(20), (UN, 1), (UN, 3)),
        row(
            "a body that hangs after the id",
            hangs_at(60),
            (AP, 1),
            (AP, 1),
        )
        .also(salvaged(Some("act_1"))),
    ]
    .map(|row| row.also(timed_out(true)))
    .into()
}

/// Bodies that are longer than anybody reads, or say so.
fn too_long() -> Vec<Row> {
    let token = format!(
        r#"{{"id":"act_1","user_id":"user_1","token":"{}"#,
        "MARKER".repeat(50_000)
    );
    let unpacked = gzip::bomb(b"{}", 4_000_000_000);
    let length = token.len();
    let chunk = format!("{length:x}\r\n{token}\r\n").into_bytes();
    let head = |fields: &str| Write(format!("HTTP/1.1 200 X\r\n{fields}\r\n\r\n").into_bytes());
    let whole = vec![Request, Write(http1_with(200, &[], token.as_bytes())), Hang];
    let (chunked, close) = ("transfer-encoding: chunked", "connection: close");
    let more = || Flood(vec![b'x'; 1 << 16]);
    let declared = |bytes: &str| {
        let head = head(&format!("content-length: {bytes}"));
        vec![Request, head, Write(b"{".to_vec())]
    };
    let mut rows = vec![
        row("over the limit", whole, (AP, 1), (AP, 1)),
        row(
            "over the limit, in chunks without end",
            vec![Request, head(chunked), Flood(chunk)],
            (AP, 1),
            (AP, 1),
        ),
        row(
            "over the limit, up to an end that never comes",
            vec![
                Request,
                head(close),
                Write(token.clone().into_bytes()),
                more(),
            ],
            (AP, 1),
            (AP, 1),
        ),
        row(
            "a terabyte, declared",
            vec![
                Request,
                head("content-length: 1099511627776"),
                Write(token.into_bytes()),
                more(),
            ],
            (AP, 1),
            (AP, 1),
        ),
        row(
            "4 GB of spaces, compressed",
            vec![
                Request,
                Write(http1_with(200, &[("content-encoding", "gzip")], &unpacked)),
            ],
            (UN, 1),
            (UN, 3),
        ),
        row(
            "a length beyond all memory",
            declared("18446744073709551610"),
            (UN, 1),
            (UN, 3),
        ),
        row(
            "a 404 of more than anybody reads",
            vec![Request, Write(b"HTTP/1.1 404 X\r\n\r\n".to_vec()), more()],
            (RJ, 1),
            (RJ, 1),
        )
        .also(status(404)),
    ];
    for row in &mut rows {
        row.also.push(salvaged(Some("act_1")));
        row.also.push(timed_out(false));
        row.also.push(flooded(READ_AT_MOST));
    }
    rows
}

/// Answers cut at every byte, in all three framings.
fn cut() -> Vec<Row> {
    let body = Op::Create.answer();
    // From here on the id has come whole, and with it the knowledge that there is a token.
    let known = known(body);
    let mut rows = Vec::new();
    for at in 0..body.len() {
        let (create, revoke) = if at < known {
            ((UN, 1), (UN, 3))
        } else {
            ((AP, 1), (AP, 1))
        };
        let close = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
            &body[..at]
        );
        for (framing, answer) in [
            ("content length", cut_by_length(body, at)),
            ("chunked", cut_in_chunk(body, at)),
            ("close-delimited", close.into_bytes()),
        ] {
            let name = format!("cut at byte {at}, {framing}");
            let script = vec![Request, Write(answer)];
            rows.push(row(name, script, create, revoke).also(salvaged(Some("act_1"))));
        }
    }
    let whole = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}");
    let script = vec![Request, Write(whole.into_bytes())];
    rows.push(row("not cut, close-delimited", script, (OK, 1), (OK, 1)));
    rows
}

/// From how many bytes on the id of a token is known.
pub(crate) fn known(body: &str) -> usize {
    body.find("act_1\"").unwrap() + "act_1\"".len()
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
