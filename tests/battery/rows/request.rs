//! What can happen to a request on the wire, by HTTP/1.1.

use Step::{Answer, Bytes, Hang, Request, Reset, Write};

use crate::harness::{
    row::{End, OK, RJ, Row, UN, row},
    script::{Step, http1},
};

pub(crate) fn rows() -> Vec<Row> {
    let early = |status| Write(http1(status, "", ""));
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
            vec![Bytes(40), Hang],
            (UN, 0),
            (UN, 0),
        ),
        row(
            "an early 503",
            vec![Bytes(40), early(503), Hang],
            (UN, 0),
            (UN, 0),
        ),
        row(
            "an early 401",
            vec![Bytes(40), early(401), Hang],
            (RJ, 0),
            (RJ, 0),
        ),
        row(
            "a whole request, then 421",
            vec![Request, early(421)],
            (RJ, 3),
            (RJ, 3),
        ),
        row(
            "421, then all is well",
            vec![Request, early(421)],
            (OK, 2),
            (OK, 2),
        )
        .then(vec![Request, Answer]),
        row(
            "425, then all is well",
            vec![Request, early(425)],
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
        .after_a_good_call(),
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
        row("FIN at once", vec![], (End::Safe, 0), (End::Safe, 0)),
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
