//! Rate limits and `Retry-After`, over HTTP/1.1 and HTTP/2.

use std::time::{Duration, SystemTime};

use clerk_actor_tokens::RetryConfig;
use httpdate::fmt_http_date;

use Step::{Hang, Request, Respond, RespondOn, Write};

use crate::harness::{
    caller::Caller,
    checks::{Check, attempts, backoffs_differ, out_of_budget, retry_after, status, took, waited},
    h2_frames,
    row::{Row, row, row2},
    run::{OK, RJ, UN},
    script::{Step, http1},
};

const S: Duration = Duration::from_secs(1);

/// The clock of most responses, which is years behind.
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// The longest default backoff before the second attempt.
const DEFAULT_BACKOFF: Duration = Duration::from_millis(110);

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (value, expected) in [
        ("1", 1),
        ("5", 5),
        ("10", 10),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 3),
        ("Sunday, 06-Nov-94 08:49:40 GMT", 3),
        ("Sun Nov  6 08:49:40 1994", 3),
    ] {
        let headers = [("date", DATE), ("retry-after", value)];
        let name = format!("429, Retry-After {value:?}, respected");
        rows.extend(retried(&name, &headers, &waited(expected * S)));
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
        rows.extend(retried(
            &name,
            &headers,
            &took(Duration::ZERO..=DEFAULT_BACKOFF),
        ));
    }
    for (value, expected) in [
        ("11", 11),
        ("86400", 86_400),
        ("18446744073709551615", u64::MAX),
        ("Sun, 06 Nov 1994 08:49:48 GMT", 11),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 252_618_189_022),
    ] {
        let headers = [("date", DATE), ("retry-after", value)];
        let name = format!("429, Retry-After {value:?}, too long");
        rows.extend(returned(&name, &headers, Duration::from_secs(expected)));
    }
    rows.extend(two_headers());
    rows.extend(clocks());
    rows.extend(bursts());
    rows.extend(zero_retry_after());
    rows
}

/// A 429 with these headers, which is retried successfully.
fn retried(name: &str, headers: &[(&str, &str)], check: &Check) -> [Row; 2] {
    let [one, two] = limited(headers);
    let one = row(name, one, (OK, 2), (OK, 2)).then(vec![Request, Respond, Hang]);
    let two = [two, vec![Request, RespondOn(3), Hang]].concat();
    let two = row2(format!("{name}, HTTP/2"), two, (OK, 2), (OK, 2));
    [one, two].map(|row| row.also(check.clone()))
}

/// A 429 with these headers, which is returned at once with its `Retry-After`.
fn returned(name: &str, headers: &[(&str, &str)], wait: Duration) -> [Row; 2] {
    let [one, two] = limited(headers);
    let two = [two, vec![Hang]].concat();
    [
        row(name, one, (RJ, 1), (RJ, 1)),
        row2(format!("{name}, HTTP/2"), two, (RJ, 1), (RJ, 1)),
    ]
    .map(|row| {
        row.also(waited(Duration::ZERO))
            .also(retry_after(wait))
            .also(status(429))
    })
}

/// Responds to a request with a 429 and these headers, over HTTP/1.1 and HTTP/2.
fn limited(headers: &[(&str, &str)]) -> [Vec<Step>; 2] {
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let one = vec![Request, Write(http1(429, &lines, ""))];
    let two = h2_frames::response_with(1, 429, headers, b"");
    [one, vec![Request, Write(two)]]
}

fn two_headers() -> Vec<Row> {
    let both = |one, two| [("retry-after", one), ("retry-after", two)];
    let mut rows = Vec::new();
    rows.extend(retried(
        "two Retry-After headers",
        &both("2", "1"),
        &waited(2 * S),
    ));
    rows.extend(retried(
        "two Retry-After headers, one invalid",
        &both("x", "1"),
        &waited(S),
    ));
    rows.extend(returned(
        "two Retry-After headers, one too long",
        &both("1", "60"),
        60 * S,
    ));
    // The wait would last until the call's timeout.
    let short = Caller {
        call_timeout: 5 * S,
        ..Caller::default()
    };
    let left = returned(
        "Retry-After as long as the call",
        &[("retry-after", "5")],
        5 * S,
    );
    rows.extend(left.map(|row| row.with_caller(short.clone())));
    let megabyte = "9".repeat(1 << 20);
    let [one, two] = limited(&[("retry-after", &megabyte)]);
    // The client refuses a head of this length.
    rows.push(row("429, Retry-After of 1 MB", one, (UN, 1), (UN, 3)));
    let name = "429, Retry-After of 1 MB, HTTP/2";
    rows.push(row2(name, two, (UN, 1), (UN, 3)));
    rows
}

/// A date is relative to the `Date` of the response or, without one, to the client's clock.
fn clocks() -> Vec<Row> {
    let now = SystemTime::now();
    let day = 24 * 3600 * S;
    let mut rows = Vec::new();
    for (name, theirs) in [("behind", now - day), ("ahead", now + day)] {
        let (date, at) = (fmt_http_date(theirs), fmt_http_date(theirs + 3 * S));
        let headers = [("date", date.as_str()), ("retry-after", &at)];
        let name = format!("a clock a day {name}");
        rows.extend(retried(&name, &headers, &waited(3 * S)));
    }
    let past = fmt_http_date(now - day);
    let headers = [("retry-after", past.as_str())];
    let name = "a date in the past, without a Date header";
    rows.extend(retried(
        name,
        &headers,
        &took(Duration::ZERO..=DEFAULT_BACKOFF),
    ));
    // An hour from now. The exact wait depends on the time at which the row runs.
    let future = fmt_http_date(now + 3600 * S);
    let [one, _] = limited(&[("retry-after", &future)]);
    let name = "a date too far in the future, without a Date header";
    rows.push(row(name, one, (RJ, 1), (RJ, 1)).also(waited(Duration::ZERO)));
    let [one, _] = limited(&[("date", "yesterday"), ("retry-after", &future)]);
    let name = "a date too far in the future, with an invalid Date header";
    rows.push(row(name, one, (RJ, 1), (RJ, 1)).also(waited(Duration::ZERO)));
    rows
}

/// Repeated failures and many calls, with a bounded number of requests.
fn bursts() -> Vec<Row> {
    let limited = || vec![Request, Write(http1(429, "", ""))];
    let mut rows = vec![
        row("429 every time", limited(), (RJ, 3), (RJ, 3))
            .also(status(429))
            .also(attempts(3)),
        // All fail before the first retry, so the budget allows ten retries.
        row("429 to 1000 calls", limited(), (RJ, 1010), (RJ, 1010))
            .calls(1000)
            .also(status(429))
            .also(out_of_budget(990)),
        row("503 to 1000 calls", burst(503), (UN, 1000), (UN, 1010))
            .calls(1000)
            .also(status(503)),
        row(
            "429 to 1000 calls with long backoffs",
            limited(),
            (RJ, 4000),
            (RJ, 4000),
        )
        .calls(1000)
        .with_caller(long_backoffs())
        .also(backoffs_differ(3)),
    ];
    for code in [408, 460, 499, 500, 502, 503, 504, 520, 599] {
        let name = format!("{code} every time");
        rows.push(row(name, burst(code), (UN, 1), (UN, 3)).also(status(code)));
    }
    rows
}

/// A `Retry-After` of zero, which is retried after the default backoff.
fn zero_retry_after() -> Vec<Row> {
    let of = |value| {
        let headers = format!("date: {DATE}\r\nretry-after: {value}\r\n");
        let script = vec![Request, Write(http1(503, &headers, ""))];
        let name = format!("503 every time, Retry-After {value:?}");
        row(name, script, (UN, 1), (UN, 3)).also(status(503))
    };
    ["0", "Sun, 06 Nov 1994 08:49:37 GMT"].map(of).into()
}

fn burst(status: u16) -> Vec<Step> {
    vec![Request, Write(http1(status, "", ""))]
}

/// Backoffs so long that the clock, which counts milliseconds, can distinguish them.
fn long_backoffs() -> Caller {
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
