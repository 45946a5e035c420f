//! Rate limits, and what they ask for.

use Step::{Answer, Hang, Request, Write};

use crate::harness::{
    row::{OK, RJ, Row, UN, row},
    script::{Step, http1},
};

pub(crate) fn rows() -> Vec<Row> {
    let limited = |value: &str| {
        let header = format!("date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: {value}\r\n");
        vec![Request, Write(http1(429, &header, ""))]
    };
    let then_ok = |name: String, script| {
        row(name, script, (OK, 2), (OK, 2)).then(vec![Request, Answer, Hang])
    };
    let mut rows = Vec::new();
    // Waited for, or ignored, and the call goes on.
    for value in [
        "0",
        "1",
        "5",
        "10",
        "-5",
        "+5",
        "5.5",
        "5;q=1",
        "",
        "18446744073709551616",
        "Sun, 06 Nov 1994 08:49:40 GMT",
        "Sunday, 06-Nov-94 08:49:40 GMT",
        "Sun Nov  6 08:49:40 1994",
        "Sun, 06 Nov 1994 08:00:00 GMT",
        "Wed, 30 Feb 1994 08:49:37 GMT",
    ] {
        rows.push(then_ok(
            format!("429, Retry-After {value:?}"),
            limited(value),
        ));
    }
    // Too long to wait for: returned at once.
    for value in [
        "11",
        "86400",
        "18446744073709551615",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "1\r\nretry-after: 60",
    ] {
        rows.push(row(
            format!("429, Retry-After {value:?}"),
            limited(value),
            (RJ, 1),
            (RJ, 1),
        ));
    }
    rows.push(row("429 for ever", limited("0"), (RJ, 3), (RJ, 3)));
    rows.push(row(
        "503 for ever",
        vec![Request, Write(http1(503, "", ""))],
        (UN, 1),
        (UN, 3),
    ));
    let megabyte = "9".repeat(300_000);
    rows.push(then_ok(
        "429, Retry-After of 300 KB".into(),
        limited(&megabyte),
    ));
    rows
}
