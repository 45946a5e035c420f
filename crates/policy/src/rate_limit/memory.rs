//! [`MemoryRateLimitStore`], the units of rate limits in memory.
//!
//! GCRA: a cell is the time at which it would be full again. Taking a unit adds an interval. To give a
//! unit back exactly, a cell also keeps the units of calls that have not ended, and computes its time
//! without the returned one.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Cell, RateLimitStore, Taken};
use crate::StoreUnavailable;

/// Counts the units of rate limits in memory, exactly. All clones share the cells.
///
/// It keeps at most as many cells as its capacity. A cell that is full again is forgotten, which changes
/// nothing. If every cell is in use, a create with a new key is refused until one is full again.
#[derive(Clone)]
pub struct MemoryRateLimitStore {
    table: Arc<Mutex<Table>>,
}

impl MemoryRateLimitStore {
    /// The number of cells that are kept at most, unless another capacity is set.
    pub const DEFAULT_CAPACITY: usize = 65_536;

    /// Creates a store in which every cell is full.
    pub fn new() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }

    /// Creates a store that keeps at most this many cells.
    pub fn with_capacity(cells: usize) -> Self {
        let table = Table {
            started: Instant::now(),
            capacity: cells,
            cells: HashMap::new(),
            full_until: Duration::ZERO,
            receipts: 0,
        };
        Self {
            table: Arc::new(Mutex::new(table)),
        }
    }

    /// Returns how many cells are kept.
    pub fn len(&self) -> usize {
        lock(&self.table).cells.len()
    }

    /// Returns whether no cell is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryRateLimitStore {
    fn default() -> Self {
        Self::new()
    }
}

impl RateLimitStore for MemoryRateLimitStore {
    type Receipt = MemoryReceipt;

    async fn take(&self, cells: &[Cell<'_>]) -> Result<Taken<MemoryReceipt>, StoreUnavailable> {
        let mut table = lock(&self.table);
        let now = table.started.elapsed();
        if let Some((rule, retry_after)) = table.longest_wait(cells, now) {
            return Ok(Taken::No { rule, retry_after });
        }
        table.receipts += 1;
        let number = table.receipts;
        let keys = cells.iter().map(|cell| table.take(cell, number, now));
        Ok(Taken::Yes(MemoryReceipt {
            number,
            keys: keys.collect(),
            table: Arc::clone(&self.table),
        }))
    }

    fn give_back(&self, mut receipt: MemoryReceipt) {
        receipt.end(true);
    }
}

impl fmt::Debug for MemoryRateLimitStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = lock(&self.table);
        let open = table.cells.values().map(|units| units.open.len());
        f.debug_struct("MemoryRateLimitStore")
            .field("len", &table.cells.len())
            .field("open_units", &open.sum::<usize>())
            .finish_non_exhaustive()
    }
}

/// The units that a call has taken of a [`MemoryRateLimitStore`].
pub struct MemoryReceipt {
    number: u64,
    keys: Vec<Arc<str>>,
    table: Arc<Mutex<Table>>,
}

impl MemoryReceipt {
    /// Ends the units, once.
    fn end(&mut self, is_given_back: bool) {
        let keys = std::mem::take(&mut self.keys);
        let mut table = lock(&self.table);
        for key in keys {
            if let Some(cell) = table.cells.get_mut(&key) {
                cell.end(self.number, is_given_back);
            }
        }
    }
}

impl Drop for MemoryReceipt {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl fmt::Debug for MemoryReceipt {
    /// Leaves out the keys, because they name users.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReceipt").finish_non_exhaustive()
    }
}

/// The cells. Times are counted from `started`.
struct Table {
    started: Instant,
    capacity: usize,
    cells: HashMap<Arc<str>, Units>,
    /// No cell could be forgotten until then, at the last attempt.
    full_until: Duration,
    receipts: u64,
}

/// The units that were taken of one cell.
struct Units {
    key: Arc<str>,
    /// When the cell is full again, without the units in `open`.
    base: Duration,
    /// The units since the oldest call that has not ended.
    open: VecDeque<Unit>,
    /// When the cell is full again.
    full_at: Duration,
}

struct Unit {
    receipt: u64,
    taken_at: Duration,
    interval: Duration,
    /// The call has ended and keeps the unit.
    is_spent: bool,
}

impl Table {
    /// Returns which cell has to be waited for the longest, and how long.
    fn longest_wait(&mut self, cells: &[Cell<'_>], now: Duration) -> Option<(usize, Duration)> {
        let waits = cells.iter().enumerate().filter_map(|(rule, cell)| {
            let full_at = self.cells.get(cell.key).map_or(now, |it| it.full_at);
            let size = cell.interval.saturating_mul(cell.burst);
            let full_at = full_at.max(now).saturating_add(cell.interval);
            let free_at = full_at.saturating_sub(size);
            (free_at > now).then(|| (rule, free_at - now))
        });
        let longest = waits.max_by_key(|(_, wait)| *wait);
        longest.or_else(|| self.make_room(cells, now))
    }

    /// Forgets full cells if there is no place for the new ones. Returns a new cell without a place, and
    /// how long it has to wait.
    fn make_room(&mut self, cells: &[Cell<'_>], now: Duration) -> Option<(usize, Duration)> {
        if self.cells.len() + cells.len() <= self.capacity {
            return None;
        }
        let is_new = |cell: &Cell<'_>| !self.cells.contains_key(cell.key);
        let new = cells.iter().filter(|cell| is_new(cell)).count();
        let first = cells.iter().position(is_new)?;
        if self.cells.len() + new <= self.capacity {
            return None;
        }
        if self.full_until <= now {
            self.cells.retain(|_, units| units.full_at > now);
            let earliest = self.cells.values().map(|units| units.full_at).min();
            self.full_until = earliest.unwrap_or(now);
        }
        // A cell of this call may have been forgotten as well.
        let is_new = |cell: &&Cell<'_>| !self.cells.contains_key(cell.key);
        let new = cells.iter().filter(is_new).count();
        let has_room = self.cells.len() + new <= self.capacity;
        let wait = self.full_until.saturating_sub(now);
        (!has_room).then(|| (first, wait.max(Duration::from_nanos(1))))
    }

    /// Takes a unit of a cell, and returns its key.
    fn take(&mut self, cell: &Cell<'_>, receipt: u64, now: Duration) -> Arc<str> {
        let unit = Unit {
            receipt,
            taken_at: now,
            interval: cell.interval,
            is_spent: false,
        };
        if let Some(units) = self.cells.get_mut(cell.key) {
            units.take(unit);
            return Arc::clone(&units.key);
        }
        let mut units = Units::new(cell.key);
        units.take(unit);
        let key = Arc::clone(&units.key);
        self.cells.insert(Arc::clone(&key), units);
        key
    }
}

impl Units {
    fn new(key: &str) -> Self {
        Self {
            key: key.into(),
            base: Duration::ZERO,
            open: VecDeque::new(),
            full_at: Duration::ZERO,
        }
    }

    fn take(&mut self, unit: Unit) {
        if self.full_at <= unit.taken_at {
            // The cell is full: earlier units have no effect any more, given back or not.
            self.base = Duration::ZERO;
            self.open.clear();
        }
        self.full_at = unit.after(self.full_at);
        self.open.push_back(unit);
    }

    fn end(&mut self, receipt: u64, is_given_back: bool) {
        let Some(index) = self.open.iter().position(|unit| unit.receipt == receipt) else {
            return;
        };
        if is_given_back {
            self.open.remove(index);
            let open = self.open.iter();
            self.full_at = open.fold(self.base, |full_at, unit| unit.after(full_at));
        } else {
            self.open[index].is_spent = true;
        }
        while self.open.front().is_some_and(|unit| unit.is_spent) {
            let spent = self.open.pop_front();
            self.base = spent.map_or(self.base, |unit| unit.after(self.base));
        }
    }
}

impl Unit {
    /// Returns when a cell is full again that was to be full at this time before.
    fn after(&self, full_at: Duration) -> Duration {
        full_at.max(self.taken_at).saturating_add(self.interval)
    }
}

/// Locks the cells, which are valid whenever a panic could happen.
fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
