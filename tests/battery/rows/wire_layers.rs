//! Wire layers that make up responses: whether the request was sent and what the transport responded
//! decides, and not what the layer made of it.

use Step::{Hang, Request, Write};

use crate::harness::{
    caller::Caller,
    checks::{attempts, status},
    h2_frames,
    row::{Row, row, row2},
    run::{NS, RJ, UN, Want},
    script::{Step, http1},
    wire::MakeUp,
};

pub(crate) fn rows() -> Vec<Row> {
    let rows = [nothing_sent(), no_response(), replaced()];
    rows.into_iter().flatten().collect()
}

fn by(make_up: MakeUp) -> Caller {
    Caller {
        make_up,
        ..Caller::default()
    }
}

/// The layer responds and sends nothing. The error keeps the status, which decides about a retry.
fn nothing_sent() -> Vec<Row> {
    let tries = [
        (400, 1),
        (401, 1),
        (408, 1),
        (429, 3),
        (499, 1),
        (500, 3),
        (503, 3),
    ];
    let row = |(code, tries): (u16, u32)| {
        let name = format!("a {code} without a request");
        row(name, vec![Hang], (NS, 0), (NS, 0))
            .by(by(MakeUp::AtOnce(code)))
            .also(status(code))
            .also(attempts(tries))
    };
    tries.map(row).into()
}

/// The request was sent, and the layer responds before the transport does.
fn no_response() -> Vec<Row> {
    let statuses = [200, 302, 400, 401, 404, 408, 421, 429, 499, 500, 503];
    let rows = statuses.map(|code| {
        let name = format!("a {code} before the response");
        let requests = [Request, Request, Request, Hang].to_vec();
        [
            row(&name, vec![Request, Hang], (UN, 1), (UN, 3)),
            row2(&name, requests, (UN, 1), (UN, 3)),
        ]
        .map(|row| row.by(by(MakeUp::AfterASecond(code))))
    });
    rows.into_iter().flatten().collect()
}

/// The layer replaces the response of the transport.
fn replaced() -> Vec<Row> {
    let rejected: (Want, Want) = ((RJ, 1), (RJ, 1));
    let unknown: (Want, Want) = ((UN, 1), (UN, 3));
    let rows = [
        (400, 503, rejected),
        (401, 503, rejected),
        (404, 200, rejected),
        (408, 400, unknown),
        (460, 404, unknown),
        (499, 400, unknown),
        (500, 400, unknown),
        (503, 429, unknown),
        (302, 404, unknown),
        (200, 400, unknown),
        (200, 503, unknown),
    ]
    .map(|(transport, layer, (create, revoke))| {
        let name = format!("a {layer} in place of a {transport}");
        let http1 = [Request, Write(http1(transport, "", "{}"))].to_vec();
        let http2 = [1, 3, 5].map(|stream| {
            let response = h2_frames::answer(stream, transport, b"{}");
            [Request, Write(response)]
        });
        let http2 = [http2.concat(), vec![Hang]].concat();
        [
            row(&name, http1, create, revoke),
            row2(&name, http2, create, revoke),
        ]
        .map(|row| row.by(by(MakeUp::InPlace(layer))))
    });
    rows.into_iter().flatten().collect()
}
