//! Response bodies over HTTP/1.1.

use std::time::Duration;

use Step::{Flood, Hang, Repeat, Request, Write};

use super::{
    error_bodies, fields,
    ok_responses::{self, OkResponse},
};
use crate::harness::{
    checks::{flood_at_most, salvaged, status, timed_out},
    gzip,
    row::{Row, row},
    run::{AP, OK, RJ, UN},
    script::{Op, Step, http1_with},
};

/// The longest response that is read, and the content of a pipe.
const READ_AT_MOST: usize = 3 << 20;

pub(crate) fn rows() -> Vec<Row> {
    let responses = ok_responses::all().into_iter().chain(fields::all());
    let mut rows: Vec<_> = responses.map(to_row).collect();
    rows.extend(errors());
    rows.extend(too_long());
    rows.extend(endless());
    rows.extend(cut());
    rows
}

fn to_row(it: OkResponse) -> Row {
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
            let response = http1_with(code, it.headers, it.body.as_bytes());
            let name = format!("{code}, {}", it.name);
            rows.push(
                row(name, vec![Request, Write(response)], create, revoke)
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
    let hangs_at = |at| vec![Request, Write(cut_by_length(Op::Create.body(), at)), Hang];
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

/// Bodies that are longer than the limit, or announce such a length.
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
    let announced = |bytes: &str| {
        let head = head(&format!("content-length: {bytes}"));
        vec![Request, head, Write(b"{".to_vec())]
    };
    let mut rows = vec![
        row("over the limit", whole, (AP, 1), (AP, 1)),
        row(
            "over the limit, endless chunks",
            vec![Request, head(chunked), Flood(chunk)],
            (AP, 1),
            (AP, 1),
        ),
        row(
            "over the limit, endless and close-delimited",
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
            "an announced length of a terabyte",
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
            "an announced length of almost 2^64",
            announced("18446744073709551610"),
            (UN, 1),
            (UN, 3),
        ),
        row(
            "a 404 longer than the limit",
            vec![Request, Write(b"HTTP/1.1 404 X\r\n\r\n".to_vec()), more()],
            (RJ, 1),
            (RJ, 1),
        )
        .also(status(404)),
    ];
    for row in &mut rows {
        row.also.push(salvaged(Some("act_1")));
        row.also.push(timed_out(false));
        row.also.push(flood_at_most(READ_AT_MOST));
    }
    rows
}

/// Responses cut at each byte, in all three framings.
fn cut() -> Vec<Row> {
    let body = Op::Create.body();
    // From here on the id is complete, so that the create is known to have taken effect.
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
        for (framing, response) in [
            ("content length", cut_by_length(body, at)),
            ("chunked", cut_in_chunk(body, at)),
            ("close-delimited", close.into_bytes()),
        ] {
            let name = format!("cut at byte {at}, {framing}");
            let script = vec![Request, Write(response)];
            rows.push(row(name, script, create, revoke).also(salvaged(Some("act_1"))));
        }
    }
    let whole = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}");
    let script = vec![Request, Write(whole.into_bytes())];
    rows.push(row("complete, close-delimited", script, (OK, 1), (OK, 1)));
    rows
}

/// Returns the length of a body up to the end of the id.
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
