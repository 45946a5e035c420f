//! Times in milliseconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns a time in milliseconds since 1970, as a number that fits a signed column.
pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis())
        .unwrap_or(i64::MAX)
        .unsigned_abs()
}

/// Returns the time of a number of milliseconds since 1970.
pub fn time(millis: u64) -> SystemTime {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    time.unwrap_or(UNIX_EPOCH)
}
