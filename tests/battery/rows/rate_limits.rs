//! Rate limits, and what they ask for; by HTTP/1.1 and by HTTP/2.

use std::time::{Duration, SystemTime};

use clerk_actor_tokens::RetryConfig;
use httpdate::fmt_http_date;

use Step::{Answer, AnswerStream, Hang, Request, Write};

use crate::harness::{
    caller::Caller,
    checks::{
        Check, attempts, no_two_pause_alike, out_of_budget, status, told_to_wait, took, waited,
    },
    h2_frames,
    row::{Row, row, row2},
    run::{OK, RJ, UN},
    script::{Step, http1},
};

const S: Duration = Duration::from_secs(1);

/// The clock of most answers, years off.
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// The longest pause that a client chooses by itself before its second attempt.
const BY_ITSELF: Duration = Duration::from_millis(110);

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (value, wanted) in [
        ("1", 1),
        ("5", 5),
        ("10", 10),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 3),
        ("Sunday, 06-Nov-94 08:49:40 GMT", 3),
        ("Sun Nov  6 08:49:40 1994", 3),
    ] {
        let headers = [("date", DATE), ("retry-after", value)];
        let name = format!("429, Retry-After {value:?}, waited for");
        rows.extend(goes_on(&name, &headers, &waited(wanted * S)));
    }
    let digits = "9".repeat(15_000);
    for value in [
        "0",
        "000",
        "Sun, 06 Nov 1994 08:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "-5",
        "+5",
        "5.5",
        "5;q=1",
        "",
        "18446744073709551616",
        "Wed, 30 Feb 1994 08:49:37 GMT",
        "soon",
        &digits,
    ] {
        let headers = [("date", DATE), ("retry-after", value)];
        let shown = value.get(..40).unwrap_or(value);
        let name = format!("429, Retry-After {shown:?}, ignored");
        rows.extend(goes_on(&name, &headers, &took(Duration::ZERO..=BY_ITSELF)));
    }
    for (value, wanted) in [
        ("11", 11),
        ("86400", 86_400),
        ("18446744073709551615", u64::MAX),
        ("Sun, 06 Nov 1994 08:49:48 GMT", 11),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 252_618_189_022),
    ] {
        let headers = [("date", DATE), ("retry-after", value)];
        let name = format!("429, Retry-After {value:?}, too long");
        rows.extend(ends(&name, &headers, Duration::from_secs(wanted)));
    }
    rows.extend(two_headers());
    rows.extend(clocks());
    rows.extend(bursts());
    rows.extend(without_a_pause());
    rows
}

/// A 429 with these headers, after which all is well.
fn goes_on(name: &str, headers: &[(&str, &str)], check: &Check) -> [Row; 2] {
    let [one, two] = limited(headers);
    let one = row(name, one, (OK, 2), (OK, 2)).then(vec![Request, Answer, Hang]);
    let two = [two, vec![Request, AnswerStream(3), Hang]].concat();
    let two = row2(format!("{name}, HTTP/2"), two, (OK, 2), (OK, 2));
    [one, two].map(|row| row.also(check.clone()))
}

/// A 429 with these headers, which is returned at once and says how long to wait.
fn ends(name: &str, headers: &[(&str, &str)], wait: Duration) -> [Row; 2] {
    let [one, two] = limited(headers);
    let two = [two, vec![Hang]].concat();
    [
        row(name, one, (RJ, 1), (RJ, 1)),
        row2(format!("{name}, HTTP/2"), two, (RJ, 1), (RJ, 1)),
    ]
    .map(|row| {
        row.also(waited(Duration::ZERO))
            .also(told_to_wait(wait))
            .also(status(429))
    })
}

/// A request that is answered so, by HTTP/1.1 and by HTTP/2.
fn limited(headers: &[(&str, &str)]) -> [Vec<Step>; 2] {
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let one = vec![Request, Write(http1(429, &lines, ""))];
    let two = h2_frames::answer_with(1, 429, headers, b"");
    [one, vec![Request, Write(two)]]
}

fn two_headers() -> Vec<Row> {
    let both = |one, two| [("retry-after", one), ("retry-after", two)];
    let mut rows = Vec::new();
    rows.extend(goes_on("two headers", &both("2", "1"), &waited(2 * S)));
    rows.extend(goes_on("two headers, one odd", &both("x", "1"), &waited(S)));
    rows.extend(ends("two headers, one too long", &both("1", "60"), 60 * S));
    // Nothing is slept into the end of the call.
    let hasty = Caller {
        call_timeout: 5 * S,
        ..Caller::default()
    };
    let left = ends("as long as the call", &[("retry-after", "5")], 5 * S);
    rows.extend(left.map(|row| row.by(hasty.clone())));
    let megabyte = "9".repeat(1 << 20);
    let [one, two] = limited(&[("retry-after", &megabyte)]);
    // No client reads such a head, and so nobody knows what it says.
    rows.push(row("429, Retry-After of 1 MB", one, (UN, 1), (UN, 3)));
    let name = "429, Retry-After of 1 MB, HTTP/2";
    rows.push(row2(name, two, (UN, 1), (UN, 3)));
    rows
}

/// Dates are relative to the clock of whoever says them, and to ours when they do not tell theirs.
fn clocks() -> Vec<Row> {
    let now = SystemTime::now();
    let day = 24 * 3600 * S;
    let mut rows = Vec::new();
    for (name, theirs) in [("behind", now - day), ("ahead", now + day)] {
        let (date, at) = (fmt_http_date(theirs), fmt_http_date(theirs + 3 * S));
        let headers = [("date", date.as_str()), ("retry-after", &at)];
        let name = format!("a clock that is a day {name}");
        rows.extend(goes_on(&name, &headers, &waited(3 * S)));
    }
    let past = fmt_http_date(now - day);
    let headers = [("retry-after", past.as_str())];
    let name = "a date that has passed, and no clock";
    rows.extend(goes_on(name, &headers, &took(Duration::ZERO..=BY_ITSELF)));
    // An hour from now, and the rows may wait for their turn: how long exactly, nobody can tell.
    let future = fmt_http_date(now + 3600 * S);
    let [one, _] = limited(&[("retry-after", &future)]);
    let name = "a date that comes too late, and no clock";
    rows.push(row(name, one, (RJ, 1), (RJ, 1)).also(waited(Duration::ZERO)));
    let [one, _] = limited(&[("date", "yesterday"), ("retry-after", &future)]);
    let name = "a date that comes too late, and an odd clock";
    rows.push(row(name, one, (RJ, 1), (RJ, 1)).also(waited(Duration::ZERO)));
    rows
}

/// The API is overwhelmed, and must not be any more.
fn bursts() -> Vec<Row> {
    let limited = || vec![Request, Write(http1(429, "", ""))];
    let mut rows = vec![
        row("429 for ever", limited(), (RJ, 3), (RJ, 3))
            .also(status(429))
            .also(attempts(3)),
        // All fail before any of them comes back, so that ten in all come back.
        row("429 to 1000 calls", limited(), (RJ, 1010), (RJ, 1010))
            .calls(1000)
            .also(status(429))
            .also(out_of_budget(990)),
        row("503 to 1000 calls", burst(503), (UN, 1000), (UN, 1010))
            .calls(1000)
            .also(status(503)),
        row(
            "429 to 1000 patient calls",
            limited(),
            (RJ, 4000),
            (RJ, 4000),
        )
        .calls(1000)
        .by(patient())
        .also(no_two_pause_alike(3)),
    ];
    for code in [500, 502, 503, 504, 520, 599] {
        let name = format!("{code} for ever");
        rows.push(row(name, burst(code), (UN, 1), (UN, 3)).also(status(code)));
    }
    rows
}

/// A response that asks for no pause is repeated after a backoff.
fn without_a_pause() -> Vec<Row> {
    let of = |value| {
        let headers = format!("date: {DATE}\r\nretry-after: {value}\r\n");
        let script = vec![Request, Write(http1(503, &headers, ""))];
        let name = format!("503 for ever, Retry-After {value:?}");
        row(name, script, (UN, 1), (UN, 3)).also(status(503))
    };
    ["0", "Sun, 06 Nov 1994 08:49:37 GMT"].map(of).into()
}

fn burst(status: u16) -> Vec<Step> {
    vec![Request, Write(http1(status, "", ""))]
}

/// Pauses so long that the clock, which counts milliseconds, tells them apart.
fn patient() -> Caller {
    Caller {
        call_timeout: 24 * 3600 * S,
        retry: RetryConfig::default()
            .max_attempts(4)
            .initial_interval(1000 * S)
            .max_interval(4000 * S)
            .budget(false),
        ..Caller::default()
    }
}
