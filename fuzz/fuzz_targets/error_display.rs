//! Any error body and headers: the texts of an error are bounded and clean.
//!
//! Input: a byte for the operation, two for the status, two for the number of repetitions, then a
//! [`FuzzResponse`].

#![no_main]

use arbitrary::Unstructured;
use clerk_actor_tokens::{ClientBuilder, RetryConfig};
use clerk_actor_tokens_fuzz::{
    Op, block_on, call, key, oracle::Shown, response::FuzzResponse, transport::responding,
};
use libfuzzer_sys::fuzz_target;

/// The client's limit, less the digits that a number is longer than its `#`.
const MAX_RESPONSE: usize = 256 * 1024 - 64;

/// The longest `Debug`, in bytes: 32 errors with three texts of 500 characters, up to ten bytes each when
/// escaped, and with a kilobyte of `meta`, which grows thirtyfold by indentation.
const MAX_DEBUG: usize = 1536 * 1024;

/// The longest `Display`, in bytes: code, message and trace id of 500 characters, up to four bytes each,
/// which masks can make 3.5 times as long.
const MAX_LINE: usize = 24 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let Ok((op, response)) = read(bytes) else {
        return;
    };
    let client = ClientBuilder::over(key(), responding(response))
        .retry(RetryConfig::disabled())
        .build()
        .expect("valid options");
    let result = block_on(call(&client, op));
    let shown = Shown::of(&result);
    shown.holds_no_secret();
    let Err(error) = &result else {
        return;
    };
    shown.is_presentable();
    assert!(error.to_string().len() < MAX_LINE, "a long Display");
    shown.is_shorter_than(MAX_DEBUG, MAX_DEBUG);
    if let Some(body) = error.clerk_errors() {
        assert!(body.errors.len() <= 32);
        let written = serde_json::to_string(body).expect("errors can be written");
        assert!(written.len() < MAX_DEBUG, "{} bytes", written.len());
    }
});

fn read(bytes: &[u8]) -> arbitrary::Result<(Op, FuzzResponse)> {
    let mut u = Unstructured::new(bytes);
    let flags = u.arbitrary()?;
    let (status, times): (u16, u16) = u.arbitrary()?;
    let response = FuzzResponse::new(status, u.take_rest()).repeated(times.into(), MAX_RESPONSE);
    Ok((Op::of(flags), response))
}
