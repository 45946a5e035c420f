//! [`Faults`], what happens to the gateways and to their servers.

use std::{
    collections::BTreeMap,
    str::FromStr,
    time::{Duration, SystemTime},
};

use fastrand::Rng;
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    Result,
    clerk::Clerk,
    replica::Fleet,
    servers::{Postgres, Redis},
};

/// Longer than the age of a beat from which an instance counts as stopped.
const PAST_THE_BEAT: Duration = Duration::from_secs(22);

/// A window of the check of limits, after the slack for the loss and before that for the return, is in it.
const REDIS_ABSENT: Duration = Duration::from_secs(25);

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A gateway is killed, and starts again.
    Kill,
    /// A gateway is stopped past its beat; its connections stay.
    Stop,
    /// A gateway is stopped past its beat, and its connections are cut meanwhile.
    StopAndCut,
    /// PostgreSQL ends as in a crash, and starts again.
    PostgresRestart,
    /// Redis loses its data.
    RedisFlush,
    /// Redis ends and starts again without data.
    RedisRestart,
    /// Redis is absent for a while.
    RedisAbsent,
    /// The connections of a gateway to PostgreSQL are cut for a moment.
    PostgresCut,
    /// The connections of a gateway to Redis are cut for a moment.
    RedisCut,
    /// The clock of the last gateway is ahead, from the beginning.
    ClockSkew,
}

impl Kind {
    const ALL: [(&str, Self); 10] = [
        ("kill", Self::Kill),
        ("stop", Self::Stop),
        ("stop_and_cut", Self::StopAndCut),
        ("postgres_restart", Self::PostgresRestart),
        ("redis_flush", Self::RedisFlush),
        ("redis_restart", Self::RedisRestart),
        ("redis_absent", Self::RedisAbsent),
        ("postgres_cut", Self::PostgresCut),
        ("redis_cut", Self::RedisCut),
        ("clock_skew", Self::ClockSkew),
    ];

    /// Returns whether Redis or a process loses the units that were taken.
    fn loses_units(self) -> bool {
        matches!(
            self,
            Self::Kill | Self::RedisFlush | Self::RedisRestart | Self::RedisAbsent
        )
    }
}

/// Which faults happen.
#[derive(Clone, Debug)]
pub(crate) struct Choice(Vec<Kind>);

impl Choice {
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.0.contains(&kind)
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = |word: &str| {
            let found = Kind::ALL.iter().find(|(name, _)| *name == word);
            let names = Kind::ALL.map(|(name, _)| name).join(", ");
            found
                .map(|(_, kind)| *kind)
                .ok_or_else(|| format!("no fault is `{word}`: all, none, {names}"))
        };
        match text {
            "all" => Ok(Self(Kind::ALL.map(|(_, kind)| kind).to_vec())),
            "none" => Ok(Self(Vec::new())),
            words => words
                .split(',')
                .map(kind)
                .collect::<Result<_, _>>()
                .map(Self),
        }
    }
}

/// The faults so far.
pub(crate) struct Faults {
    choice: Choice,
    random: Rng,
    pub(crate) happened: BTreeMap<Kind, u64>,
    /// When units that were taken were lost.
    pub(crate) losses: Vec<SystemTime>,
}

impl Faults {
    pub(crate) fn new(choice: Choice, seed: u64) -> Self {
        let happened = choice.has(Kind::ClockSkew).then_some((Kind::ClockSkew, 1));
        Self {
            choice,
            random: Rng::with_seed(seed),
            happened: happened.into_iter().collect(),
            losses: Vec::new(),
        }
    }

    /// Waits some time, and lets a fault happen from its beginning to its end.
    pub(crate) async fn next(
        &mut self,
        fleet: &Fleet,
        clerk: &Clerk,
        postgres: &mut Postgres,
        redis: &mut Redis,
    ) -> Result<()> {
        let wait = Duration::from_millis(self.random.u64(1000..4000));
        sleep(wait).await;
        let kinds: Vec<_> = self
            .choice
            .0
            .iter()
            .filter(|kind| **kind != Kind::ClockSkew)
            .collect();
        // Kills are the most frequent.
        let kind = match (self.choice.has(Kind::Kill), self.random.bool()) {
            (true, true) => Some(Kind::Kill),
            _ => self.random.choice(kinds).copied(),
        };
        let Some(kind) = kind else { return Ok(()) };
        let replica = self.random.choice(&fleet.replicas).ok_or("no replica")?;
        *self.happened.entry(kind).or_default() += 1;
        if kind.loses_units() {
            self.losses.push(SystemTime::now());
        }
        let short = Duration::from_millis(self.random.u64(200..1500));
        match kind {
            Kind::Kill => {
                fleet.kill(replica).await?;
                sleep(short).await;
                fleet.run(replica).await?;
            }
            Kind::Stop => {
                replica.pause();
                sleep(PAST_THE_BEAT).await;
                replica.resume();
            }
            Kind::StopAndCut => {
                replica.pause();
                replica.postgres.cut();
                sleep(PAST_THE_BEAT).await;
                replica.postgres.heal();
                replica.resume();
            }
            Kind::PostgresRestart => {
                postgres.stop();
                sleep(short).await;
                postgres.restart()?;
            }
            Kind::RedisFlush => redis.flush()?,
            Kind::RedisRestart => {
                redis.stop();
                redis.restart()?;
            }
            Kind::RedisAbsent => {
                redis.stop();
                sleep(REDIS_ABSENT).await;
                redis.restart()?;
            }
            Kind::PostgresCut => {
                replica.postgres.cut();
                sleep(short).await;
                replica.postgres.heal();
            }
            Kind::RedisCut => {
                replica.redis.cut();
                sleep(short).await;
                replica.redis.heal();
            }
            Kind::ClockSkew => {}
        }
        if matches!(kind, Kind::Kill | Kind::Stop | Kind::StopAndCut) {
            clerk.forget(replica.number());
        }
        Ok(())
    }

    /// Ends every fault that was interrupted.
    pub(crate) async fn undo(
        &mut self,
        fleet: &Fleet,
        postgres: &mut Postgres,
        redis: &mut Redis,
    ) -> Result<()> {
        if !postgres.is_running() {
            postgres.restart()?;
        }
        if !redis.is_running() {
            redis.restart()?;
        }
        for replica in &fleet.replicas {
            replica.postgres.heal();
            replica.redis.heal();
            replica.resume();
            if !replica.is_running() {
                fleet.run(replica).await?;
            }
        }
        Ok(())
    }
}
