//! How a call ends.

use fastrand::Rng;

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It runs to its end, and its caller reads the ticket.
    Read,
    /// Its future is dropped.
    Dropped,
    /// It is put under a timeout that is too short for it.
    TimedOut,
    /// Its own timeout is too short for it.
    OutOfTime,
    /// The task that makes it is aborted.
    Aborted,
    /// It races another call, and the slower one is dropped.
    Raced,
    /// It runs to its end, and its ticket is dropped unread.
    Unread,
}

impl Ending {
    pub(crate) const ALL: [Self; 7] = [
        Self::Read,
        Self::Dropped,
        Self::TimedOut,
        Self::OutOfTime,
        Self::Aborted,
        Self::Raced,
        Self::Unread,
    ];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Dropped => "dropped",
            Self::TimedOut => "timed out",
            Self::OutOfTime => "out of its own time",
            Self::Aborted => "aborted",
            Self::Raced => "raced",
            Self::Unread => "dropped unread",
        }
    }
}

/// The random choices for a call. They are the same for both clients, and in every run with the same seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) ending: Ending,
    /// The time after which it ends early, as a share of twice the median latency.
    pub(crate) share: f64,
    /// The number of polls after which it is dropped, in place of a time. Timers tick in milliseconds, and
    /// the steps of a call over loopback are shorter.
    pub(crate) polls: Option<u32>,
}

impl Plan {
    pub(crate) fn of(seed: u64, call: u64) -> Self {
        let mut rng = rng(seed, call);
        Self {
            ending: Ending::ALL[rng.usize(..Ending::ALL.len())],
            share: rng.f64(),
            polls: rng.bool().then(|| rng.u32(0..8)),
        }
    }
}

/// Returns the generator of this number, so that the choices do not depend on the order of calls.
pub(crate) fn rng(seed: u64, number: u64) -> Rng {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    Rng::with_seed(seed.wrapping_mul(ODD) ^ number.wrapping_mul(ODD).rotate_left(32))
}
