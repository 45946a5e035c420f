//! [`RedisRateLimitStore`], the units of rate limits in Redis.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use clerk_actor_tokens_policy::{
    MemoryRateLimitStore, RateLimitStore, StoreUnavailable,
    rate_limit::{Cell, MemoryReceipt, Taken},
};
use redis::Script;

use crate::{
    connection::Redis,
    telemetry::{self, Command},
    time::{micros, micros_up},
};

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));
static GIVE_BACK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("give_back.lua")));

/// Counts the units of rate limits in Redis, so that processes share them.
///
/// A call is one command. Units are given back as in
/// [`MemoryRateLimitStore`], without a wait and if Redis responds: the newest 256 units of a cell can be given back,
/// an older one is kept. Times are whole microseconds, rounded up.
///
/// # Without Redis
///
/// A call for which Redis does not decide in time is decided in memory: each cell refills one unit in the interval
/// times the number of replicas, and holds the burst divided by it, at least one. Those cells also count the calls that
/// Redis lets pass. So at each change between Redis and memory, and whenever Redis loses its data or its clock jumps
/// ahead, a cell may hold up to one burst more than without that event; with more replicas than units in the burst, one
/// unit for each replica. The trait's error is never returned.
#[derive(Clone, Debug)]
pub struct RedisRateLimitStore {
    redis: Redis,
    /// Counts the calls of this process.
    local: MemoryRateLimitStore,
}

impl RedisRateLimitStore {
    /// Creates a store over this connection.
    #[must_use]
    pub fn new(redis: &Redis) -> Self {
        Self {
            redis: redis.clone(),
            local: MemoryRateLimitStore::new(),
        }
    }

    /// Returns the part of a cell that this process has without Redis.
    fn part<'a>(&self, cell: &Cell<'a>) -> Cell<'a> {
        let replicas = self.redis.shared().replicas.get();
        let interval = cell.interval.saturating_mul(replicas);
        Cell::new(cell.key, interval, (cell.burst / replicas).max(1))
    }

    /// Takes the units in memory.
    async fn take_locally(
        &self,
        cells: &[Cell<'_>],
    ) -> Result<Taken<RedisReceipt>, StoreUnavailable> {
        let parts: Vec<_> = cells.iter().map(|cell| self.part(cell)).collect();
        Ok(match self.local.take(&parts).await? {
            Taken::Yes(receipt) => {
                telemetry::local("rate_limit", "passed");
                Taken::Yes(RedisReceipt {
                    units: None,
                    local: vec![receipt],
                })
            }
            Taken::No { rule, retry_after } => {
                telemetry::local("rate_limit", "refused");
                Taken::No { rule, retry_after }
            }
        })
    }

    /// Takes the units in memory as well, of each cell that has one.
    async fn run_along(&self, cells: &[Cell<'_>]) -> Result<Vec<MemoryReceipt>, StoreUnavailable> {
        let mut receipts = Vec::with_capacity(cells.len());
        for cell in cells {
            if let Taken::Yes(receipt) = self.local.take(&[self.part(cell)]).await? {
                receipts.push(receipt);
            }
        }
        Ok(receipts)
    }
}

impl RateLimitStore for RedisRateLimitStore {
    type Receipt = RedisReceipt;

    async fn take(&self, cells: &[Cell<'_>]) -> Result<Taken<RedisReceipt>, StoreUnavailable> {
        if cells.is_empty() {
            let (units, local) = (None, Vec::new());
            return Ok(Taken::Yes(RedisReceipt { units, local }));
        }
        let shared = self.redis.shared();
        let mut script = TAKE.prepare_invoke();
        let mut units = Vec::with_capacity(cells.len());
        for cell in cells {
            let interval = micros_up(cell.interval);
            let size = micros(Duration::from_micros(interval).saturating_mul(cell.burst));
            let key = shared.keys.cell(cell.key);
            script.key(&key).arg(interval).arg(size);
            units.push((key, interval));
        }
        let taken = shared.run(Command::Take, script).await;
        Ok(match taken {
            Ok((1, taken_at, 0)) => Taken::Yes(RedisReceipt {
                units: Some(Units {
                    taken_at,
                    cells: units,
                }),
                local: self.run_along(cells).await?,
            }),
            Ok((_, rule, wait)) => Taken::No {
                rule: usize::try_from(rule).unwrap_or(usize::MAX),
                retry_after: Duration::from_micros(wait),
            },
            Err(_) => return self.take_locally(cells).await,
        })
    }

    fn give_back(&self, receipt: RedisReceipt) {
        for receipt in receipt.local {
            self.local.give_back(receipt);
        }
        let Some(Units { taken_at, cells }) = receipt.units else {
            return;
        };
        let mut script = GIVE_BACK.prepare_invoke();
        script.arg(taken_at);
        for (key, interval) in cells {
            script.key(key).arg(interval);
        }
        let shared = Arc::clone(self.redis.shared());
        let give_back = async move {
            if shared.run::<()>(Command::GiveBack, script).await.is_err() {
                telemetry::not_given_back();
            }
        };
        self.redis.runtime().spawn(give_back);
    }
}

/// The units that a call has taken of a [`RedisRateLimitStore`].
pub struct RedisReceipt {
    units: Option<Units>,
    local: Vec<MemoryReceipt>,
}

struct Units {
    /// Identifies the units, by the clock of the server.
    taken_at: u64,
    /// The keys, and the time in which one unit is refilled.
    cells: Vec<(String, u64)>,
}

impl fmt::Debug for RedisReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReceipt")
            .field("is_shared", &self.units.is_some())
            .finish_non_exhaustive()
    }
}
