//! What can happen to a request on the wire, by HTTP/2.

use Step::{AnswerStream, Hang, Request, Write};

use crate::harness::{
    h2_frames::{
        CANCEL, ENHANCE_YOUR_CALM, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, data, go_away, head,
        reset,
    },
    row::{End, OK, RJ, Row, UN, row2},
    script::Step,
};

/// 100 calls over a connection that allows one stream at a time.
fn one_stream_at_a_time() -> Row {
    let mut script = vec![Step::Http2(Some(1))];
    for stream in (1..).step_by(2).take(100) {
        script.extend([Request, AnswerStream(stream)]);
    }
    script.push(Hang);
    let scripts = vec![script];
    Row {
        scripts,
        ..row2(
            "one stream at a time, 100 calls",
            vec![],
            (OK, 100),
            (OK, 100),
        )
        .calls(100)
    }
}

/// 50 calls in flight on one connection, which then dies. The budget allows ten retries for all.
fn dies_in_flight() -> Row {
    let name = "FIN with 50 calls in flight";
    row2(name, vec![Request; 50], (UN, 50), (End::Safe, 60))
        .then(
            (1..)
                .step_by(2)
                .take(50)
                .flat_map(|stream| [Request, AnswerStream(stream)])
                .chain([Hang])
                .collect(),
        )
        .calls(50)
}

pub(crate) fn rows() -> Vec<Row> {
    let refuse = |stream| Write(reset(stream, REFUSED_STREAM));
    let away = |last, code| Write(go_away(last, code));
    vec![
        one_stream_at_a_time(),
        dies_in_flight(),
        row2(
            "a plain answer",
            vec![Request, AnswerStream(1)],
            (OK, 1),
            (OK, 1),
        ),
        row2(
            "REFUSED_STREAM for ever",
            vec![
                Request,
                refuse(1),
                Request,
                refuse(3),
                Request,
                refuse(5),
                Hang,
            ],
            (RJ, 3),
            (RJ, 3),
        ),
        row2(
            "REFUSED_STREAM once",
            vec![Request, refuse(1), Request, AnswerStream(3), Hang],
            (OK, 2),
            (OK, 2),
        ),
        row2(
            "GOAWAY below our stream",
            vec![Request, away(0, NO_ERROR), Hang],
            (OK, 2),
            (OK, 2),
        )
        .then(vec![Request, AnswerStream(1), Hang]),
        row2(
            "GOAWAY below our stream, calm down",
            vec![Request, away(0, ENHANCE_YOUR_CALM)],
            (OK, 2),
            (OK, 2),
        )
        .then(vec![Request, AnswerStream(1), Hang]),
        row2(
            "GOAWAY at our stream, then FIN",
            vec![Request, away(1, NO_ERROR)],
            (UN, 1),
            (OK, 2),
        )
        .then(vec![Request, AnswerStream(1), Hang]),
        row2(
            "GOAWAY above our stream, then FIN",
            vec![Request, away(9, NO_ERROR)],
            (UN, 1),
            (OK, 2),
        )
        .then(vec![Request, AnswerStream(1), Hang]),
        row2(
            "GOAWAY with an error at our stream, then FIN",
            vec![Request, away(1, INTERNAL_ERROR)],
            (UN, 1),
            (OK, 2),
        )
        .then(vec![Request, AnswerStream(1), Hang]),
        row2(
            "GOAWAY, then the answer",
            vec![Request, away(1, NO_ERROR), AnswerStream(1)],
            (OK, 1),
            (OK, 1),
        ),
        row2(
            "CANCEL",
            vec![Request, Write(reset(1, CANCEL)), Hang],
            (UN, 1),
            (UN, 1),
        ),
        row2(
            "INTERNAL_ERROR",
            vec![Request, Write(reset(1, INTERNAL_ERROR)), Hang],
            (UN, 1),
            (UN, 1),
        ),
        row2(
            "FIN after the whole request",
            vec![Request],
            (UN, 1),
            (UN, 3),
        ),
        row2("no answer", vec![Request, Hang], (UN, 1), (UN, 1)),
        row2(
            "a 200 reset in its body",
            vec![
                Request,
                Write(head(1, 200)),
                Write(data(1, b"{\"id\"")),
                Write(reset(1, INTERNAL_ERROR)),
                Hang,
            ],
            (UN, 1),
            (UN, 1),
        ),
        row2(
            "a 500 that never ends",
            vec![Request, Write(head(1, 500)), Write(data(1, b"{")), Hang],
            (UN, 1),
            (UN, 1),
        ),
    ]
}
