//! [`MemoryGate`], a gate in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Gate, Pass, Scope};
use crate::{StoreUnavailable, telemetry};

/// The step below which slots are not distinguished any more: the resolution of tokio's timers.
const SHORTEST_STEP: Duration = Duration::from_millis(1);

/// How many times the step doubles at most.
const MAX_LEVEL: u32 = 6;

/// The longest time for which one 429 closes the gate.
const LONGEST_CLOSE: Duration = Duration::from_secs(3600);

/// A gate in memory. All clones share it.
///
/// A 429 closes it for its `Retry-After`, at most an hour, or for a second without one. Then attempts
/// leave one step apart. The step doubles with each 429 of an attempt that left after the gate had closed,
/// at most six times, and halves each second without one, until the gate is open. The first attempt after
/// that opens it.
#[derive(Clone, Debug)]
pub struct MemoryGate {
    scopes: Arc<Mutex<HashMap<Scope, State>>>,
    step: Duration,
    ramp: Duration,
}

impl MemoryGate {
    /// Creates an open gate whose first step is 100 ms.
    pub fn new() -> Self {
        Self {
            scopes: Arc::default(),
            step: Duration::from_millis(100),
            ramp: Duration::from_secs(1),
        }
    }

    /// Sets the step after the first 429, at most a minute. Default: 100 ms.
    #[must_use]
    pub fn step(mut self, step: Duration) -> Self {
        self.step = step.min(Duration::from_secs(60));
        self
    }

    /// Sets the time after which the step halves, and for which a 429 without `Retry-After` closes the
    /// gate. Default: 1 s.
    #[must_use]
    pub fn ramp(mut self, time: Duration) -> Self {
        self.ramp = time.max(SHORTEST_STEP);
        self
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, State>> {
        // Every transition is complete when a panic could happen, so a poisoned state is valid.
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryGate {
    fn default() -> Self {
        Self::new()
    }
}

/// The state of one scope.
#[derive(Debug, Default)]
struct State {
    epoch: u64,
    /// How many times the gate was closed by attempts that it had let pass; zero if it is open.
    level: u32,
    /// Until when it is closed, and the next slot that is free; `None` if it never closed.
    closed: Option<Closed>,
}

#[derive(Clone, Copy, Debug)]
struct Closed {
    until: Instant,
    next_slot: Instant,
}

impl MemoryGate {
    /// Returns the distance of a slot at this time to the next one; zero if the ramp is over.
    fn step_at(&self, level: u32, closed: Closed, at: Instant) -> Duration {
        let doubled = self.step.saturating_mul(1 << level.saturating_sub(1));
        let ramped = at.saturating_duration_since(closed.until).as_nanos() / self.ramp.as_nanos();
        let halved = u32::try_from(ramped).ok().and_then(|times| {
            // Past 31 halvings no step is left.
            doubled.checked_div(1_u32.checked_shl(times)?)
        });
        halved
            .filter(|step| *step >= SHORTEST_STEP)
            .unwrap_or_default()
    }

    /// Opens the gate when its ramp is over and every slot is past.
    fn open(&self, scope: &Scope, state: &mut State, now: Instant) {
        if let Some(closed) = state.closed {
            let is_over = self.step_at(state.level, closed, now).is_zero();
            if is_over && closed.next_slot <= now {
                (state.level, state.closed) = (0, None);
                telemetry::gate_level(&scope.account, scope.kind, 0);
            }
        }
    }
}

impl Gate for MemoryGate {
    async fn pass(&self, scope: &Scope, patience: Duration) -> Result<Pass, StoreUnavailable> {
        let mut scopes = self.lock();
        let Some(state) = scopes.get_mut(scope) else {
            return Ok(Pass::Go { epoch: 0 });
        };
        let now = Instant::now();
        self.open(scope, state, now);
        let epoch = state.epoch;
        let Some(mut closed) = state.closed else {
            return Ok(Pass::Go { epoch });
        };
        let at = closed.next_slot.max(now);
        let slot = at - now;
        if slot > patience {
            return Ok(Pass::No { retry_after: slot });
        }
        closed.next_slot = at + self.step_at(state.level, closed, at);
        state.closed = Some(closed);
        Ok(match slot.is_zero() {
            true => Pass::Go { epoch },
            false => Pass::Wait { epoch, slot },
        })
    }

    fn epoch(&self, scope: &Scope) -> u64 {
        self.lock().get(scope).map_or(0, |state| state.epoch)
    }

    fn close(&self, scope: &Scope, epoch: u64, retry_after: Option<Duration>) {
        let mut scopes = self.lock();
        let state = scopes.entry(scope.clone()).or_default();
        let now = Instant::now();
        self.open(scope, state, now);
        let is_current = state.epoch == epoch;
        if is_current {
            state.level = (state.level + 1).min(1 + MAX_LEVEL);
        }
        let until = now + retry_after.unwrap_or(self.ramp).min(LONGEST_CLOSE);
        let is_later = state.closed.is_none_or(|closed| closed.until < until);
        if is_later {
            state.closed = Some(Closed {
                until,
                next_slot: until,
            });
        }
        if is_current || is_later {
            state.epoch += 1;
        }
        // A late 429 closes an open gate without a level, which has the step of the first one.
        telemetry::gate_level(&scope.account, scope.kind, state.level.max(1));
    }
}
