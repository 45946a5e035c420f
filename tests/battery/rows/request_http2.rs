//! What can happen to a request on the wire, by HTTP/2.

use clerk_actor_tokens::Outcome;

use Step::{AnswerStream, Bytes, Hang, Head2, Request, Reset, Stall, Write};

use crate::harness::{
    checks::{Check, attempts, check, connections, status, timed_out},
    h2_frames::{
        self, CANCEL, ENHANCE_YOUR_CALM, INITIAL_WINDOW_SIZE, INTERNAL_ERROR,
        MAX_CONCURRENT_STREAMS, NO_ERROR, REFUSED_STREAM, go_away, reset, settings,
    },
    row::{Row, row, row2},
    run::{End, OK, RJ, UN},
    script::Step,
};

/// 100 calls over a connection that allows one stream at a time.
fn one_stream_at_a_time() -> Row {
    let mut script = vec![Step::Http2(&[(MAX_CONCURRENT_STREAMS, 1)])];
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
    let mut rows = vec![
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
        reset_once("CANCEL", CANCEL),
        reset_once("INTERNAL_ERROR", INTERNAL_ERROR),
        row2(
            "FIN after the whole request",
            vec![Request],
            (UN, 1),
            (UN, 3),
        ),
    ];
    rows.extend(connecting());
    rows.extend(kept());
    rows.extend(without_window());
    // Ended within the frames of the handshake, of the head, and of the body.
    for bytes in 0..500 {
        for (what, end) in [("FIN", vec![]), ("RST", vec![Reset])] {
            let script = [vec![Bytes(bytes)], end].concat();
            let name = format!("{what} after {bytes} bytes");
            rows.push(row2(name, script, (End::Safe, 0), (End::Safe, 0)));
        }
    }
    rows
}

/// The stream is reset once, after its request came whole.
fn reset_once(name: &str, code: u32) -> Row {
    let script = vec![
        Request,
        Write(reset(1, code)),
        Request,
        AnswerStream(3),
        Hang,
    ];
    row2(name, script, (UN, 1), (OK, 2))
}

/// What ends before it begins: nothing can have been sent.
fn connecting() -> Vec<Row> {
    [
        ("FIN at once", vec![]),
        ("RST at once", vec![Reset]),
        ("FIN within the preface", vec![Bytes(10)]),
        ("RST within the preface", vec![Bytes(10), Reset]),
    ]
    .map(|(name, script)| {
        row(name, script, (End::Safe, 0), (End::Safe, 0))
            .over_http2()
            .also(attempts_unless_sent(3))
    })
    .into()
}

/// Connections that are used again.
fn kept() -> Vec<Row> {
    let fresh = || vec![Request, AnswerStream(1), Hang];
    vec![
        row2(
            "an idle connection that the peer closed",
            vec![Request, AnswerStream(1)],
            (OK, 1),
            (OK, 1),
        )
        .after_a_good_call()
        .also(connections(2)),
        row2(
            "an idle connection that the peer bade farewell",
            vec![Request, AnswerStream(1), Write(go_away(1, NO_ERROR)), Hang],
            (OK, 1),
            (OK, 1),
        )
        .after_a_good_call()
        .then(fresh())
        .also(connections(2)),
        row2(
            "a kept connection closed after the second request",
            vec![Request, AnswerStream(1), Request],
            (UN, 1),
            (OK, 2),
        )
        .then(fresh())
        .after_a_good_call(),
        row2(
            "a kept connection reset after the second request",
            vec![Request, AnswerStream(1), Request, Reset],
            (UN, 1),
            (OK, 2),
        )
        .then(fresh())
        .after_a_good_call(),
    ]
}

/// The peer reads heads, and allows no body: a create does not come whole.
fn without_window() -> Vec<Row> {
    let closed = settings(&[(INITIAL_WINDOW_SIZE, 0)]);
    let second = |then: Vec<Step>| {
        let first = vec![Request, AnswerStream(1), Write(closed.clone()), Head2];
        [first, then].concat()
    };
    let early = |code, end| {
        let again = |stream| [Head2, Write(h2_frames::answer(stream, code, b""))];
        let first = Write(h2_frames::answer(3, code, b""));
        let script = [vec![first], again(5).into(), again(7).into(), vec![Stall]].concat();
        row2(
            format!("an early {code}"),
            second(script),
            (end, 0),
            (end, 0),
        )
        .after_a_good_call()
        .also(status(code))
    };
    vec![
        row2(
            "the peer stops reading",
            second(vec![Stall]),
            (UN, 0),
            (UN, 0),
        )
        .then(vec![Stall])
        .after_a_good_call()
        .also(timed_out(true)),
        // The head of a revoke is all of it, and that of its second attempt is counted.
        row2(
            "the peer allows no body",
            second(vec![Request, Hang]),
            (UN, 0),
            (UN, 1),
        )
        .then(vec![Write(closed.clone()), Request, Hang])
        .revoked_over_pool((UN, 2))
        .after_a_good_call()
        .also(timed_out(true)),
        early(401, RJ),
        early(503, UN),
    ]
}

/// A failure that sent nothing comes after so many attempts.
fn attempts_unless_sent(wanted: u32) -> Check {
    check(move |run| match run.error()?.outcome() {
        Outcome::NotSent => attempts(wanted)(run),
        _ => Ok(()),
    })
}
