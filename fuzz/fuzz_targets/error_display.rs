//! Any error body and headers: what an error shows is bounded and fit to show.
//!
//! A byte for the operation, two for the status, two that say how often a part of the body is
//! repeated, then the answer as [`Answer`] reads it.

#![no_main]

use arbitrary::Unstructured;
use clerk_actor_tokens::{ClientBuilder, RetryConfig};
use clerk_actor_tokens_fuzz::{
    Op,
    answer::Answer,
    block_on, call, key,
    oracle::{Shown, id_of},
    transport::answering,
};
use libfuzzer_sys::fuzz_target;

/// As long as the client reads an answer, less what a number takes more than its place.
const MAX_ANSWER: usize = 256 * 1024 - 64;

/// The longest `Debug`, in bytes: 32 errors of three texts of 500 characters, each of which takes
/// up to ten bytes when escaped. The kilobyte of `meta` that each
/// may hold grows about thirtyfold when it is indented.
const MAX_DEBUG: usize = 1536 * 1024;

/// The longest `Display`, in bytes: a code, a sentence and a trace id, each of 500 characters that
/// masking can make 3.5 times as many, of up to four bytes.
const MAX_LINE: usize = 24 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let Ok((op, answer)) = read(bytes) else {
        return;
    };
    let client = ClientBuilder::over(key(), answering(answer))
        .retry(RetryConfig::disabled())
        .build()
        .expect("a transport of one's own is always set up");
    let result = block_on(call(&client, op));
    let shown = Shown::of(&result);
    shown.holds_no_secret(id_of(&result));
    let Err(error) = &result else {
        return;
    };
    shown.is_presentable(id_of(&result));
    assert!(error.to_string().len() < MAX_LINE, "a long Display");
    shown.is_shorter_than(MAX_DEBUG, MAX_DEBUG);
    if let Some(body) = error.clerk_errors() {
        assert!(body.errors.len() <= 32);
        let written = serde_json::to_string(body).expect("what was read can be written");
        assert!(written.len() < MAX_DEBUG, "{} bytes", written.len());
    }
});

fn read(bytes: &[u8]) -> arbitrary::Result<(Op, Answer)> {
    let mut u = Unstructured::new(bytes);
    let flags = u.arbitrary()?;
    let (status, times): (u16, u16) = u.arbitrary()?;
    let answer = Answer::new(status, u.take_rest()).blown_up(times.into(), MAX_ANSWER);
    Ok((Op::of(flags), answer))
}
