//! Error bodies and their results, over any protocol.

use crate::harness::checks::{Check, check, code, trace_id};

/// The headers and the body of an error.
pub(crate) struct ErrorBody {
    pub(crate) name: &'static str,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: String,
    pub(crate) also: Check,
}

pub(crate) fn all() -> Vec<ErrorBody> {
    let of = |name, headers, body: &str, also| ErrorBody {
        name,
        headers,
        body: body.into(),
        also,
    };
    let many = |count| format!(r#"{{"errors":[{}{{}}]}}"#, r#"{"code":"x"},"#.repeat(count));
    let wide = "\u{1f600}\\\"".repeat(300);
    let entry = format!(r#"{{"code":"{wide}","message":"{wide}","long_message":"{wide}"}},"#);
    let wide = format!(r#"{{"errors":[{}{{}}]}}"#, entry.repeat(31));
    let html = "<html>MARKER</html>";
    let plain: &[_] = &[];
    let traced: &[_] = &[("cf-ray", "8f-FRA"), ("content-type", "text/html")];
    let problem: &[_] = &[("content-type", "application/problem+json")];
    vec![
        of("empty", plain, "", code(None)),
        of("no errors", plain, "{}", code(None)),
        of("errors empty", plain, r#"{"errors":[]}"#, code(None)),
        of("errors null", plain, r#"{"errors":null}"#, code(None)),
        of("errors an object", plain, r#"{"errors":{}}"#, code(None)),
        of(
            "errors of all kinds",
            plain,
            r#"{"errors":[null,7,{"code":7,"meta":[]},{"code":"x"}]}"#,
            code(Some("x")),
        ),
        of("ten thousand errors", plain, &many(10_000), capped()),
        // Longer than the limit, so that the truncated body is not JSON.
        of("a million errors", plain, &many(1_000_000), code(None)),
        of("166 KB of text", plain, &wide, short()),
        of(
            "as another content type",
            problem,
            r#"{"errors":[{"code":"x"}]}"#,
            code(Some("x")),
        ),
        of(
            "control characters",
            plain,
            "{\"errors\":[{\"code\":\"\\u0007x\",\"message\":\"\\u001b[31m\\r\\n\\u202ered\"}]}",
            message("[31mred"),
        ),
        of(
            "our key echoed",
            plain,
            r#"{"errors":[{"message":"sk_test_MARKER is wrong"}]}"#,
            message("sk_[redacted] is wrong"),
        ),
        of(
            "our key echoed, split by invisible characters",
            plain,
            "{\"errors\":[{\"message\":\"s\u{180e}k_te\u{2800}st\u{3164}_MAR\u{e0041}KE\u{fe0f}R is wrong\"}]}",
            message("sk_[redacted] is wrong"),
        ),
        of(
            "our key echoed as a trace id",
            &[("clerk-trace-id", "sk_test_MARKER")],
            "",
            trace_id("sk_[redacted]"),
        ),
        of("HTML from the edge", traced, html, trace_id("8f-FRA")),
    ]
}

/// The first error has this message.
fn message(expected: &'static str) -> Check {
    check(move |run| {
        let errors = run.error()?.clerk_errors();
        match errors.and_then(|errors| errors.errors.first()) {
            Some(error) if error.message == expected => Ok(()),
            other => Err(format!("expected {expected:?}, got {other:?}")),
        }
    })
}

/// `Display` and `Debug` of the error have at most 16 KiB each.
fn short() -> Check {
    check(|run| {
        let error = run.error()?;
        let shown = [
            format!("{error}"),
            format!("{error:?}"),
            format!("{error:#?}"),
        ];
        match shown.iter().map(String::len).max() {
            Some(..=16_384) => Ok(()),
            other => Err(format!("it shows {other:?} bytes")),
        }
    })
}

/// The first 32 errors are kept.
fn capped() -> Check {
    check(|run| {
        let errors = run.error()?.clerk_errors();
        match errors.map(|errors| errors.errors.len()) {
            Some(32) => code(Some("x"))(run),
            other => Err(format!("{other:?} errors are kept")),
        }
    })
}
