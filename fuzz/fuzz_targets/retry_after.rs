//! `Retry-After` and `Date` of a 429, whatever stands in them: one value a line, the first a `Date`.

#![no_main]

use std::time::Duration;

use clerk_actor_tokens::{ClientBuilder, RetryConfig};
use clerk_actor_tokens_fuzz::{
    Op, answer::Answer, block_on, call, key, oracle::Shown, transport::answering,
};
use http::{HeaderValue, header};
use libfuzzer_sys::fuzz_target;

/// From 1970 to the end of the year 9999, the last that an HTTP date can name.
const ALL_TIME: Duration = Duration::from_secs(253_402_300_800);

fuzz_target!(|text: &[u8]| {
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .map(HeaderValue::from_bytes);
    let date = lines.next().and_then(Result::ok);
    let waits: Vec<_> = lines.take(8).filter_map(Result::ok).collect();

    let mut answer = Answer::new(329, b"");
    answer
        .headers
        .extend(waits.iter().map(|wait| (header::RETRY_AFTER, wait.clone())));
    answer
        .headers
        .extend(date.iter().map(|date| (header::DATE, date.clone())));
    let client = ClientBuilder::over(key(), answering(answer)).build();
    let client = client.expect("a transport of one's own is always set up");

    // With retries the value goes into the arithmetic of pauses and deadlines.
    for retry in [RetryConfig::disabled(), patient()] {
        let request = clerk_actor_tokens::ActorTokenRequest::revoke("act_1".parse().unwrap());
        let result = block_on(client.send(request.retry(retry)));
        let shown = Shown::of(&result);
        shown.is_presentable(None);
        shown.is_shorter_than(1024, 1024);
        let error = result.expect_err("a 429 is an error");
        check(error.retry_after(), &waits, date.as_ref());
    }
    let _ = block_on(call(&client, Op::Create)).expect_err("a 429 is an error");
});

fn patient() -> RetryConfig {
    RetryConfig::default().max_retry_after(Duration::MAX)
}

fn check(came: Option<Duration>, waits: &[HeaderValue], date: Option<&HeaderValue>) {
    let texts = || waits.iter().filter_map(|wait| wait.to_str().ok());
    let seconds = texts().filter_map(|text| {
        let digits = text.trim();
        let all = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
        all.then(|| digits.parse().ok().map(Duration::from_secs))?
    });
    let dates = texts().filter_map(|text| httpdate::parse_http_date(text.trim()).ok());
    let longest = seconds.max();
    let has_date = dates.count() > 0;
    match came {
        None => assert!(longest.is_none() && !has_date, "a wait was overlooked"),
        Some(came) if !has_date => assert_eq!(Some(came), longest),
        Some(came) => {
            assert!(longest.is_none_or(|longest| came >= longest));
            assert!(Some(came) == longest || came <= ALL_TIME, "{came:?}");
            let now = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
            let after = now.map(|now| {
                texts()
                    .filter_map(|text| httpdate::parse_http_date(text.trim()).ok())
                    .map(|at| at.duration_since(now).unwrap_or_default())
                    .chain(longest)
                    .max()
            });
            assert!(after.is_none_or(|after| after == Some(came)), "{came:?}");
        }
    }
}
