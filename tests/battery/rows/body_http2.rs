//! Response bodies over HTTP/2.

use std::time::Duration;

use Step::{Flood, Hang, Repeat, Request, Write};

use super::{error_bodies, fields, ok_responses, response_body};
use crate::harness::{
    checks::{flood_at_most, salvaged, status, timed_out},
    h2_frames::{self, INTERNAL_ERROR, data, head, reset, response},
    row::{Row, row2},
    run::{AP, End, Expected, RJ, UN},
    script::{Op, Step},
};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for it in ok_responses::all().into_iter().chain(fields::all()) {
        let name = format!("200, {}", it.name);
        let mut row = each(name, (it.create, 1), it.revoke, |stream| {
            h2_frames::response_with(stream, 200, it.headers, &it.body)
        });
        row.also = it.also;
        rows.push(row);
    }
    for it in error_bodies::all() {
        for (code, create, revoke) in [(404, (RJ, 1), (RJ, 1)), (502, (UN, 1), (UN, 3))] {
            let name = format!("{code}, {}", it.name);
            let row = each(name, create, revoke, |stream| {
                h2_frames::response_with(stream, code, it.headers, it.body.as_bytes())
            });
            rows.push(row.also(status(code)).also(it.also.clone()));
        }
    }
    for status in [
        201, 202, 204, 206, 301, 302, 303, 307, 308, 408, 460, 499, 500, 502, 503,
    ] {
        rows.push(with_status(
            format!("{status}"),
            status,
            Op::Create.body(),
            (UN, 1),
            (UN, 3),
        ));
    }
    for status in [400, 401, 402, 403, 404, 409, 413, 415, 422] {
        rows.push(with_status(
            format!("{status}"),
            status,
            "{}",
            (RJ, 1),
            (RJ, 1),
        ));
    }
    for status in [421, 425, 429] {
        rows.push(with_status(
            format!("{status}"),
            status,
            "{}",
            (RJ, 3),
            (RJ, 3),
        ));
    }
    rows.push(trickling("a 404 that never ends", 404, (RJ, 1), (RJ, 1)));
    let endless = trickling("a 200 that never ends", 200, (UN, 1), (UN, 1));
    rows.push(endless.pooled_revoke((UN, 2)));
    rows.push(flood("a 200 longer than the limit", 200, AP));
    rows.push(flood("a 404 longer than the limit", 404, RJ));
    rows.push(hangs("a body that hangs", 20, (UN, 1), (UN, 3)));
    let salvaged = salvaged(Some("act_1"));
    rows.push(hangs("a body that hangs after the id", 60, (AP, 1), (AP, 1)).also(salvaged));
    rows.extend(cut());
    rows
}

/// Responds to each of up to three requests with this status.
fn with_status(name: String, status: u16, body: &str, create: Expected, revoke: Expected) -> Row {
    each(name, create, revoke, |stream| {
        response(stream, status, body.as_bytes())
    })
}

/// Responds to each of up to three requests on one connection with `response(stream)`.
pub(crate) fn each(
    name: impl Into<String>,
    create: Expected,
    revoke: Expected,
    response: impl Fn(u32) -> Vec<u8>,
) -> Row {
    let responses = [1, 3, 5].map(|stream| [Request, Write(response(stream))]);
    row2(
        name,
        [responses.concat(), vec![Hang]].concat(),
        create,
        revoke,
    )
}

/// A body that arrives byte by byte, without end.
fn trickling(name: &str, status: u16, create: Expected, revoke: Expected) -> Row {
    let script = vec![
        Request,
        Write(head(1, status)),
        Repeat(data(1, b"x"), Duration::from_millis(100)),
    ];
    row2(name, script, create, revoke)
}

/// A body without end, written as fast as the window allows. It begins like a token.
fn flood(name: &str, status: u16, end: End) -> Row {
    let mut script = vec![Request, Write(head(1, status))];
    script.push(Write(data(1, br#"{"id":"act_1","token":""#)));
    script.push(Flood(data(1, &[b'x'; 1 << 14])));
    row2(name, script, (end, 1), (end, 1))
        .also(salvaged(Some("act_1")))
        .also(timed_out(false))
        .also(flood_at_most(2 << 20))
}

/// A body that stops after this many bytes and does not end. The peer still replies to pings.
fn hangs(name: &str, at: usize, create: Expected, revoke: Expected) -> Row {
    let body = &Op::Create.body().as_bytes()[..at];
    let stopped = |stream| [head(stream, 200), data(stream, body)].concat();
    let responses = [1, 3, 5].map(|stream| [Request, Write(stopped(stream))]);
    let script = [responses.concat(), vec![Request]].concat();
    row2(name, script, create, revoke).also(timed_out(true))
}

/// Responses that end after each byte, with a reset of the stream or the end of the connection.
fn cut() -> Vec<Row> {
    let body = Op::Create.body();
    let known = response_body::known(body);
    let mut rows = Vec::new();
    for at in 0..body.len() {
        let (create, revoke): (Expected, Expected) = if at < known {
            ((UN, 1), (UN, 3))
        } else {
            ((AP, 1), (AP, 1))
        };
        let begun = |stream| {
            [
                Request,
                Write(head(stream, 200)),
                Write(data(stream, &body.as_bytes()[..at])),
            ]
        };
        let resets = [1, 3, 5].map(|stream| {
            [
                begun(stream).to_vec(),
                vec![Write(reset(stream, INTERNAL_ERROR))],
            ]
            .concat()
        });
        let resets = [resets.concat(), vec![Hang]].concat();
        let name = format!("reset at byte {at}");
        rows.push(row2(name, resets, create, revoke).also(salvaged(Some("act_1"))));
        let fin = begun(1).to_vec();
        // The client may process the end of the connection before the last bytes.
        let fin = row2(
            format!("FIN at byte {at}"),
            fin,
            (End::Safe, 1),
            (End::Safe, 3),
        );
        rows.push(fin);
    }
    rows
}
