//! The scripts of the crate with a clock of the test, in place of the clock of the server.

use std::time::Duration;

use redis::{Connection, Script};

/// When the clock of the tests begins: far behind the real one, so that no key expires meanwhile.
const BEGIN: u64 = 2_000_000_000_000_000;

/// Returns the script with another clock. Everything else stays as it is.
pub(crate) fn with_test_clock(source: &str) -> Script {
    let clock = "redis.call('TIME')";
    assert_eq!(source.matches(clock).count(), 1);
    Script::new(&source.replace(clock, "redis.call('MGET', '{test}seconds', '{test}micros')"))
}

/// Sets the clock of the scripts.
pub(crate) fn set_clock(connection: &mut Connection, since_begin: Duration) {
    let now = BEGIN + u64::try_from(since_begin.as_micros()).unwrap();
    redis::cmd("MSET")
        .arg("{test}seconds")
        .arg(now / 1_000_000)
        .arg("{test}micros")
        .arg(now % 1_000_000)
        .exec(connection)
        .unwrap();
}
