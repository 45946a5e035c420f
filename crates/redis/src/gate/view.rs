//! [`View`], the state of a gate as a process has seen it.

use std::time::Duration;

use tokio::time::Instant;

/// The bounds of [`MemoryGate`](clerk_actor_tokens_policy::MemoryGate), which the scripts have too.
const SHORTEST_STEP: Duration = Duration::from_millis(1);
const LONGEST_STEP: Duration = Duration::from_secs(60);
const MAX_LEVEL: u32 = 6;
pub(super) const LONGEST_CLOSE: Duration = Duration::from_secs(3600);

/// How slots follow each other.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) step: Duration,
    pub(super) ramp: Duration,
}

impl Pace {
    pub(super) fn new(step: Duration, ramp: Duration) -> Self {
        Self {
            step: step.min(LONGEST_STEP),
            ramp: ramp.clamp(SHORTEST_STEP, LONGEST_CLOSE),
        }
    }

    /// Returns how long after the close the slots have a step.
    fn ramp_time(&self, level: u32) -> Duration {
        let mut step = self.step.saturating_mul(1 << level.saturating_sub(1));
        let mut ramps = 0;
        while step >= SHORTEST_STEP {
            step /= 2;
            ramps += 1;
        }
        self.ramp.saturating_mul(ramps)
    }
}

/// The state of a gate as a process has seen it. Its own closes count before Redis has them.
pub(super) struct View {
    /// The name of the scope in messages and keys.
    pub(super) name: String,
    /// Changes whenever this process learns that the gate closed.
    pub(super) epoch: u64,
    /// The newest epoch of Redis.
    pub(super) remote: u64,
    pub(super) level: u32,
    /// Until when it is closed; `None` if it is open.
    pub(super) until: Option<Instant>,
    /// A close that Redis does not have.
    pub(super) unsent: Option<Unsent>,
    /// The connection on which it was read, so that every later close arrives as a message.
    pub(super) read_on: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsent {
    /// The epoch of Redis whose level the close raises, if any.
    pub(super) epoch: Option<u64>,
    pub(super) until: Instant,
}

/// A close that a process has learned of.
pub(super) struct Learned {
    pub(super) is_raised: bool,
    pub(super) left: Duration,
}

impl View {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            epoch: 0,
            remote: 0,
            level: 0,
            until: None,
            unsent: None,
            read_on: None,
        }
    }

    /// Opens it when its ramp is over. Returns whether it was closed.
    pub(super) fn open(&mut self, pace: &Pace) -> bool {
        // The last slot may be one step behind the ramp.
        let ramp = pace.ramp_time(self.level) + 2 * SHORTEST_STEP;
        let is_over = |until: Instant| until.elapsed() >= ramp && until <= Instant::now();
        let opens = self.until.is_some_and(is_over);
        if opens {
            // A close that Redis never had is of no use any more.
            (self.level, self.until, self.unsent) = (0, None, None);
        }
        opens
    }

    /// Closes it because an attempt of this process met a 429. Returns whether this changes anything.
    pub(super) fn close(&mut self, is_current: bool, retry_after: Duration) -> bool {
        let until = Instant::now() + retry_after;
        let is_later = self.until.is_none_or(|closed| closed < until);
        if !is_current && !is_later {
            return false;
        }
        if is_current {
            self.level = (self.level + 1).min(1 + MAX_LEVEL);
        }
        self.until = self.until.max(Some(until));
        self.epoch += 1;
        let epoch = is_current.then_some(self.remote);
        let earlier = self.unsent;
        self.unsent = Some(Unsent {
            epoch: earlier.and_then(|it| it.epoch).or(epoch),
            until: earlier.map_or(until, |it| it.until.max(until)),
        });
        true
    }

    /// Learns of a state, also that the gate is open. Returns the close in it that was not known.
    pub(super) fn learn(&mut self, state: Seen) -> Option<Learned> {
        if state.until_in.is_none() && state.epoch >= self.remote && self.unsent.is_none() {
            (self.level, self.until) = (0, None);
        }
        if state.epoch <= self.remote {
            return None;
        }
        self.remote = state.epoch;
        let until_in = state.until_in?;
        let is_raised = state.level > self.level;
        let left = Duration::from_micros(until_in.try_into().unwrap_or(0));
        self.level = state.level;
        self.until = self.until.max(Some(Instant::now() + left));
        self.epoch += 1;
        Some(Learned { is_raised, left })
    }

    /// Returns the time until the first slot.
    pub(super) fn left(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// Returns the microseconds from now until the first slot, negative if it is past.
    pub(super) fn until_in(&self) -> Option<i64> {
        let signed = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let until = self.until?;
        Some(match until.checked_duration_since(Instant::now()) {
            Some(left) => signed(left),
            None => -signed(until.elapsed()),
        })
    }
}

/// The state of a gate in Redis at some time.
pub(super) struct Seen {
    pub(super) epoch: u64,
    level: u32,
    /// The microseconds until the first slot; `None` if it is open.
    until_in: Option<i64>,
}

/// The result of a script: a slot and the state.
pub(super) struct Reply {
    pub(super) is_granted: bool,
    pub(super) slot: Duration,
    pub(super) seen: Seen,
}

/// The numbers of a [`Reply`], as `state.lua` has them.
pub(super) type Numbers = (u8, u64, u64, u32, u8, i64);

impl From<Numbers> for Reply {
    fn from((granted, slot, epoch, level, closed, until_in): Numbers) -> Self {
        Self {
            is_granted: granted == 1,
            slot: Duration::from_micros(slot),
            seen: Seen {
                epoch,
                level,
                until_in: (closed == 1).then_some(until_in),
            },
        }
    }
}

/// A close of another process.
pub(super) struct Message<'a> {
    pub(super) scope: &'a str,
    pub(super) seen: Seen,
}

impl<'a> Message<'a> {
    /// Returns `None` for a message of this replica.
    pub(super) fn parse(text: &'a str, replica: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? == replica {
            return None;
        }
        Some(Self {
            scope: words.next()?,
            seen: Seen {
                epoch: words.next()?.parse().ok()?,
                level: words.next()?.parse().ok()?,
                until_in: Some(words.next()?.parse().ok()?),
            },
        })
    }
}
