//! The marker of every secret, and the log that must not show it.

use std::{error::Error, fmt::Debug, sync::Mutex};

use tracing_subscriber::fmt::MakeWriter;

pub(crate) const MARKER: &str = "MARKER";
pub(crate) const MINTED: &str = r#"{"id":"act_1","user_id":"user_MARKER","actor":{"sub":"MARKER"},"status":"pending","token":"MARKER","url":"https://x/?ticket=MARKER"}"#;

#[track_caller]
pub(crate) fn assert_hidden(value: &impl Debug) {
    let shown = format!("{value:?} {value:#?}");
    assert!(!shown.contains(MARKER), "{shown}");
}

/// Checks an error and its sources.
#[track_caller]
pub(crate) fn assert_error_hides_it(error: &(impl Error + 'static)) {
    assert_hidden(error);
    let mut source: Option<&dyn Error> = Some(error);
    while let Some(error) = source {
        assert!(!error.to_string().contains(MARKER), "{error}");
        source = error.source();
    }
}

/// The bytes that were logged.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Collects all events of the process.
pub(crate) fn collect_log() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(|| LOG.make_writer())
        .finish();
    // For all threads: one without a subscriber could turn off an event for good by meeting it first.
    tracing::subscriber::set_global_default(subscriber).unwrap();
}

/// Returns the log, and checks that it hides the marker.
#[track_caller]
pub(crate) fn log() -> String {
    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    let shown: Vec<_> = log.lines().filter(|line| line.contains(MARKER)).collect();
    assert!(shown.is_empty(), "{shown:#?}");
    log
}
