//! Failures while a request is sent over HTTP/1.1.

use Step::{Bytes, Request, Reset, Respond, Stall, Write};

use crate::harness::{
    checks::{attempts, connections, status, timed_out},
    row::{Row, row},
    run::{End, NS, OK, RJ, UN},
    script::{Step, http1},
};

pub(crate) fn rows() -> Vec<Row> {
    let respond = |status| Write(http1(status, "", ""));
    let mut rows = vec![
        row("a plain response", vec![Request, Respond], (OK, 1), (OK, 1)),
        row(
            "FIN after the complete request",
            vec![Request],
            (UN, 1),
            (UN, 3),
        ),
        row(
            "FIN after the complete request, then success",
            vec![Request],
            (UN, 1),
            (OK, 2),
        )
        .then(vec![Request, Respond]),
        row(
            "the peer stops reading",
            vec![Bytes(40), Stall],
            (UN, 0),
            (UN, 0),
        )
        .pipe(64)
        .also(timed_out(true)),
        early(503, UN),
        early(503, UN).pipe(64),
        early(401, RJ),
        early(401, RJ).pipe(64),
        row(
            "421 every time",
            vec![Request, respond(421)],
            (RJ, 3),
            (RJ, 3),
        ),
        row(
            "421, then success",
            vec![Request, respond(421)],
            (OK, 2),
            (OK, 2),
        )
        .then(vec![Request, Respond]),
        row(
            "425, then success",
            vec![Request, respond(425)],
            (OK, 2),
            (OK, 2),
        )
        .then(vec![Request, Respond]),
        row(
            "an idle connection that the peer closed",
            vec![Request, Respond],
            (OK, 1),
            (OK, 1),
        )
        .after_successful_call()
        .also(connections(2)),
        row(
            "a kept connection closed after the second request",
            vec![Request, Respond, Request],
            (UN, 1),
            (OK, 2),
        )
        .then(vec![Request, Respond])
        .after_successful_call(),
        row(
            "RST after the complete request",
            vec![Request, Reset],
            (UN, 1),
            (UN, 3),
        ),
        row(
            "100 concurrent calls",
            vec![Request, Respond],
            (OK, 100),
            (OK, 100),
        )
        .calls(100),
        row("FIN at once", vec![], (NS, 0), (NS, 0)).also(attempts(3)),
        row("RST at once", vec![Reset], (NS, 0), (NS, 0)).also(attempts(3)),
    ];
    // The connection ends within the head, at its end, and within the body.
    for bytes in 0..600 {
        let fin = vec![Bytes(bytes)];
        let rst = vec![Bytes(bytes), Reset];
        rows.push(row(
            format!("FIN after {bytes} bytes"),
            fin,
            (End::Safe, 0),
            (End::Safe, 0),
        ));
        rows.push(row(
            format!("RST after {bytes} bytes"),
            rst,
            (End::Safe, 0),
            (End::Safe, 0),
        ));
    }
    rows
}

/// A response before the end of the request. The peer keeps the connection open and stops reading.
fn early(code: u16, end: End) -> Row {
    let script = vec![Bytes(40), Write(http1(code, "", "")), Stall];
    row(format!("an early {code}"), script, (end, 0), (end, 0)).also(status(code))
}
