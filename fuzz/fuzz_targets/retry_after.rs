//! Any `Retry-After` and `Date` of a 429: the error has its time, and no call waits longer than its limit.
//!
//! Input: lines, first a `Date`, then values of `Retry-After`.

#![no_main]

use std::time::{Duration, SystemTime};

use clerk_actor_tokens::{ClientBuilder, RetryConfig};
use clerk_actor_tokens_fuzz::{
    Op, block_on, call, key, oracle::Shown, response::FuzzResponse, transport::responding,
};
use http::{HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use tokio::time::Instant;

/// From 1970 to the end of 9999, the last year of an HTTP date.
const ALL_TIME: Duration = Duration::from_secs(253_402_300_800);

/// The longest `Retry-After` that a call waits for by default, and the number of its retries.
const LONGEST: Duration = Duration::from_secs(10);
const RETRIES: u32 = 2;

/// The resolution of timers.
const TICKS: Duration = Duration::from_millis(10);

fuzz_target!(|text: &[u8]| {
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .map(HeaderValue::from_bytes);
    let date = lines.next().and_then(Result::ok);
    let waits: Vec<_> = lines.take(8).filter_map(Result::ok).collect();

    let mut response = FuzzResponse::new(329, b"");
    let retry_after = waits.iter().map(|wait| (header::RETRY_AFTER, wait.clone()));
    response.headers.extend(retry_after);
    let date_header = date.iter().map(|date| (header::DATE, date.clone()));
    response.headers.extend(date_header);
    let client = ClientBuilder::over(key(), responding(response)).build();
    let client = client.expect("valid options");

    // A retry computes backoff and deadline with the value.
    let unlimited = RetryConfig::default().max_retry_after(Duration::MAX);
    for retry in [RetryConfig::disabled(), unlimited] {
        let request = clerk_actor_tokens::ActorTokenRequest::revoke("act_1".parse().unwrap());
        let result = block_on(client.send(request.retry(retry)));
        let shown = Shown::of(&result);
        shown.is_presentable();
        shown.is_shorter_than(1024, 1024);
        let error = result.expect_err("a 429 is an error");
        check(error.retry_after(), &waits, date.as_ref());
    }
    let (result, took) = block_on(async {
        let begun = Instant::now();
        (call(&client, Op::Create).await, begun.elapsed())
    });
    let error = result.expect_err("a 429 is an error");
    let is_too_long = error.retry_after() > Some(LONGEST);
    assert!(took < RETRIES * LONGEST + TICKS, "{took:?}");
    assert!(
        !is_too_long || took.is_zero(),
        "it waited {took:?} before it failed"
    );
});

fn check(found: Option<Duration>, waits: &[HeaderValue], date: Option<&HeaderValue>) {
    let parse_date = |text| httpdate::parse_http_date(text).ok();
    let texts = || {
        waits
            .iter()
            .filter_map(|wait| wait.to_str().ok())
            .map(str::trim)
    };
    let is_number = |text: &&str| text.chars().all(|c| c.is_ascii_digit());
    let numbers = texts()
        .filter(is_number)
        .filter_map(|text| text.parse().ok());
    let seconds = numbers
        .map(Duration::from_secs)
        .filter(|wait| !wait.is_zero())
        .max();
    let dates: Vec<_> = texts().filter_map(parse_date).collect();
    let now = date.and_then(|date| parse_date(date.to_str().ok()?));
    match now {
        None if !dates.is_empty() => {
            assert!(found >= seconds, "{found:?}");
            assert!(found == seconds || found <= Some(ALL_TIME), "{found:?}");
        }
        _ => {
            let after = |at: SystemTime| at.duration_since(now?).ok().filter(|it| !it.is_zero());
            let longest = dates.into_iter().filter_map(after).chain(seconds).max();
            assert_eq!(found, longest);
        }
    }
}
