//! Durations as the scripts count them: whole microseconds. A file of its own, because both stores use it.

use std::time::Duration;

/// The longest duration of a script, 127 years. With the time of the server it is below 2^53, so that a number of
/// Lua holds the sum exactly.
const LONGEST: u64 = 4_000_000_000_000_000;

/// Rounds down, as a limit.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST))
}

/// Rounds up, as a wait.
pub(crate) fn micros_up(time: Duration) -> u64 {
    micros(time.saturating_add(Duration::from_nanos(999)))
}
