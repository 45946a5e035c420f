//! What can happen to a request on the wire, by HTTP/1.1.

use Step::{Answer, Bytes, Request, Reset, Stall, Write};

use crate::harness::{
    checks::{attempts, connections, status, timed_out},
    row::{Row, row},
    run::{End, NS, OK, RJ, UN},
    script::{Step, http1},
};

pub(crate) fn rows() -> Vec<Row> {
    let answer = |status| Write(http1(status, "", ""));
    let mut rows = vec![
        row("a plain answer", vec![Request, Answer], (OK, 1), (OK, 1)),
        row(
            "FIN after the whole request",
            vec![Request],
            (UN, 1),
            (UN, 3),
        ),
        row(
            "FIN after the whole request, then all is well",
            vec![Request],
            (UN, 1),
            (OK, 2),
        )
        .then(vec![Request, Answer]),
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
            "a whole request, then 421",
            vec![Request, answer(421)],
            (RJ, 3),
            (RJ, 3),
        ),
        row(
            "421, then all is well",
            vec![Request, answer(421)],
            (OK, 2),
            (OK, 2),
        )
        .then(vec![Request, Answer]),
        row(
            "425, then all is well",
            vec![Request, answer(425)],
            (OK, 2),
            (OK, 2),
        )
        .then(vec![Request, Answer]),
        row(
            "an idle connection that the peer closed",
            vec![Request, Answer],
            (OK, 1),
            (OK, 1),
        )
        .after_a_good_call()
        .also(connections(2)),
        row(
            "a kept connection closed after the second request",
            vec![Request, Answer, Request],
            (UN, 1),
            (OK, 2),
        )
        .then(vec![Request, Answer])
        .after_a_good_call(),
        row(
            "RST after the whole request",
            vec![Request, Reset],
            (UN, 1),
            (UN, 3),
        ),
        row(
            "100 calls at once",
            vec![Request, Answer],
            (OK, 100),
            (OK, 100),
        )
        .calls(100),
        row("FIN at once", vec![], (NS, 0), (NS, 0)).also(attempts(3)),
        row("RST at once", vec![Reset], (NS, 0), (NS, 0)).also(attempts(3)),
    ];
    // Ended within the head, at its end, and within the body.
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

/// An answer that does not wait for the end of the request, with which nobody is done.
fn early(code: u16, end: End) -> Row {
    let script = vec![Bytes(40), Write(http1(code, "", "")), Stall];
    row(format!("an early {code}"), script, (end, 0), (end, 0)).also(status(code))
}
