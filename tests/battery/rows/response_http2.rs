//! What can come in place of a response, by HTTP/2.

use std::time::Duration;

use Step::{Hang, Repeat, Request, Write};

use super::{answers, response_body};
use crate::harness::{
    h2_frames::{INTERNAL_ERROR, answer, data, head, reset},
    row::{AP, End, RJ, Row, UN, Want, row2},
    script::{Op, Step},
};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for it in answers::all() {
        let (create, revoke) = ((it.create, 1), (it.revoke, 1));
        rows.push(answered(
            format!("200, {}", it.name),
            200,
            &it.body,
            create,
            revoke,
        ));
    }
    for status in [201, 202, 204, 206, 301, 302, 303, 307, 308, 500, 502, 503] {
        rows.push(answered(
            format!("{status}"),
            status,
            Op::Create.answer(),
            (UN, 1),
            (UN, 3),
        ));
    }
    for status in [400, 401, 402, 403, 404, 409, 413, 415, 422] {
        rows.push(answered(
            format!("{status}"),
            status,
            "{}",
            (RJ, 1),
            (RJ, 1),
        ));
    }
    for status in [421, 425, 429] {
        rows.push(answered(
            format!("{status}"),
            status,
            "{}",
            (RJ, 3),
            (RJ, 3),
        ));
    }
    rows.push(trickling("a 404 that never ends", 404, (RJ, 1), (RJ, 1)));
    rows.push(trickling("a 200 that never ends", 200, (UN, 1), (UN, 1)));
    rows.extend(cut());
    rows
}

/// The same answer to each of up to three requests.
fn answered(name: String, status: u16, body: &str, create: Want, revoke: Want) -> Row {
    let answers = [1, 3, 5].map(|stream| [Request, Write(answer(stream, status, body.as_bytes()))]);
    row2(
        name,
        [answers.concat(), vec![Hang]].concat(),
        create,
        revoke,
    )
}

/// A body that comes byte by byte, for ever.
fn trickling(name: &str, status: u16, create: Want, revoke: Want) -> Row {
    let script = vec![
        Request,
        Write(head(1, status)),
        Repeat(data(1, b"x"), Duration::from_millis(100)),
    ];
    row2(name, script, create, revoke)
}

/// Answers that end after every byte, by a reset of the stream or the end of the connection.
fn cut() -> Vec<Row> {
    let body = Op::Create.answer();
    let known = response_body::known(body);
    let mut rows = Vec::new();
    for at in 0..body.len() {
        let (create, revoke): (Want, Want) = if at < known {
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
        rows.push(row2(format!("reset at byte {at}"), resets, create, revoke));
        let fin = begun(1).to_vec();
        // Whether the last bytes or the end are seen first is up to the client.
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
