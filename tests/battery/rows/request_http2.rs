//! Failures while a request is sent over HTTP/2.

use clerk_actor_tokens::Outcome;

use Step::{Bytes, Hang, Http2Head, Request, Reset, RespondOn, Stall, Write};

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
        script.extend([Request, RespondOn(stream)]);
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

/// A connection that ends with 50 calls in flight. The budget allows ten retries in all.
fn fin_with_calls_in_flight() -> Row {
    let name = "FIN with 50 calls in flight";
    row2(name, vec![Request; 50], (UN, 50), (End::Safe, 60))
        .then(
            (1..)
                .step_by(2)
                .take(50)
                .flat_map(|stream| [Request, RespondOn(stream)])
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
        fin_with_calls_in_flight(),
        row2(
            "a plain response",
            vec![Request, RespondOn(1)],
            (OK, 1),
            (OK, 1),
        ),
        row2(
            "REFUSED_STREAM every time",
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
            vec![Request, refuse(1), Request, RespondOn(3), Hang],
            (OK, 2),
            (OK, 2),
        ),
        row2(
            "GOAWAY below our stream",
            vec![Request, away(0, NO_ERROR), Hang],
            (OK, 2),
            (OK, 2),
        )
        .then(vec![Request, RespondOn(1), Hang]),
        row2(
            "GOAWAY below our stream, ENHANCE_YOUR_CALM",
            vec![Request, away(0, ENHANCE_YOUR_CALM)],
            (OK, 2),
            (OK, 2),
        )
        .then(vec![Request, RespondOn(1), Hang]),
        row2(
            "GOAWAY at our stream, then FIN",
            vec![Request, away(1, NO_ERROR)],
            (UN, 1),
            (OK, 2),
        )
        .then(vec![Request, RespondOn(1), Hang]),
        row2(
            "GOAWAY above our stream, then FIN",
            vec![Request, away(9, NO_ERROR)],
            (UN, 1),
            (OK, 2),
        )
        .then(vec![Request, RespondOn(1), Hang]),
        row2(
            "GOAWAY with an error at our stream, then FIN",
            vec![Request, away(1, INTERNAL_ERROR)],
            (UN, 1),
            (OK, 2),
        )
        .then(vec![Request, RespondOn(1), Hang]),
        row2(
            "GOAWAY, then the response",
            vec![Request, away(1, NO_ERROR), RespondOn(1)],
            (OK, 1),
            (OK, 1),
        ),
        reset_once("CANCEL", CANCEL),
        reset_once("INTERNAL_ERROR", INTERNAL_ERROR),
        row2(
            "FIN after the complete request",
            vec![Request],
            (UN, 1),
            (UN, 3),
        ),
    ];
    rows.extend(connecting());
    rows.extend(kept());
    rows.extend(without_window());
    // The connection ends within the frames of the handshake, of the head, and of the body.
    for bytes in 0..500 {
        for (what, end) in [("FIN", vec![]), ("RST", vec![Reset])] {
            let script = [vec![Bytes(bytes)], end].concat();
            let name = format!("{what} after {bytes} bytes");
            rows.push(row2(name, script, (End::Safe, 0), (End::Safe, 0)));
        }
    }
    rows
}

/// The stream is reset once, after the complete request.
fn reset_once(name: &str, code: u32) -> Row {
    let script = vec![Request, Write(reset(1, code)), Request, RespondOn(3), Hang];
    row2(name, script, (UN, 1), (OK, 2))
}

/// Connections that end before a request can be sent.
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

/// Reused connections.
fn kept() -> Vec<Row> {
    let fresh = || vec![Request, RespondOn(1), Hang];
    vec![
        row2(
            "an idle connection that the peer closed",
            vec![Request, RespondOn(1)],
            (OK, 1),
            (OK, 1),
        )
        .after_successful_call()
        .also(connections(2)),
        row2(
            "an idle connection with a GOAWAY",
            vec![Request, RespondOn(1), Write(go_away(1, NO_ERROR)), Hang],
            (OK, 1),
            (OK, 1),
        )
        .after_successful_call()
        .then(fresh())
        .also(connections(2)),
        row2(
            "a kept connection closed after the second request",
            vec![Request, RespondOn(1), Request],
            (UN, 1),
            (OK, 2),
        )
        .then(fresh())
        .after_successful_call(),
        row2(
            "a kept connection reset after the second request",
            vec![Request, RespondOn(1), Request, Reset],
            (UN, 1),
            (OK, 2),
        )
        .then(fresh())
        .after_successful_call(),
    ]
}

/// The peer reads heads and allows no body, so that no create is complete.
fn without_window() -> Vec<Row> {
    let closed = settings(&[(INITIAL_WINDOW_SIZE, 0)]);
    let second = |then: Vec<Step>| {
        let first = vec![Request, RespondOn(1), Write(closed.clone()), Http2Head];
        [first, then].concat()
    };
    let early = |code, end| {
        let again = |stream| [Http2Head, Write(h2_frames::response(stream, code, b""))];
        let first = Write(h2_frames::response(3, code, b""));
        let script = [vec![first], again(5).into(), again(7).into(), vec![Stall]].concat();
        row2(
            format!("an early {code}"),
            second(script),
            (end, 0),
            (end, 0),
        )
        .after_successful_call()
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
        .after_successful_call()
        .also(timed_out(true)),
        // The head is the complete revoke, and the one of the second attempt is counted.
        row2(
            "the peer allows no body",
            second(vec![Request, Hang]),
            (UN, 0),
            (UN, 1),
        )
        .then(vec![Write(closed.clone()), Request, Hang])
        .pooled_revoke((UN, 2))
        .after_successful_call()
        .also(timed_out(true)),
        early(401, RJ),
        early(503, UN),
    ]
}

/// An error with outcome `NotSent` comes after this many attempts.
fn attempts_unless_sent(expected: u32) -> Check {
    check(move |run| match run.error()?.outcome() {
        Outcome::NotSent => attempts(expected)(run),
        _ => Ok(()),
    })
}
