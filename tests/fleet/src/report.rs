//! [`Report`], the result of a run.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write, stdout},
    sync::atomic::Ordering,
    time::Duration,
};

use serde::Serialize;

use crate::{
    check::Found,
    clerk::Clerk,
    driver::{Driver, Seen},
    faults::{Faults, Kind},
    replica::Fleet,
};

/// The most problems that are shown.
const SHOWN: usize = 20;

/// The result of a run.
#[derive(Serialize)]
pub(crate) struct Report {
    seed: u64,
    seconds: f64,
    calls: u64,
    calls_per_second: f64,
    returned: usize,
    failed: u64,
    limited: u64,
    cancelled: u64,
    kills: u64,
    faults: BTreeMap<Kind, u64>,
    creates_at_the_api: u64,
    rate_limited_by_the_api: u64,
    calls_recorded: u64,
    late_ends: u64,
    instances: u64,
    tokens_of_unknown_id: u64,
    stopped_complete: usize,
    calls_without_one_end: u64,
    unaccounted: u64,
    over_limit: u64,
    before_until: u64,
    problems: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        seed: &u64,
        during: Duration,
        seen: Seen,
        clerk: &Clerk,
        faults: &Faults,
        stopped: usize,
        found: Found,
    ) -> Self {
        let counts = clerk.counts();
        let unaccounted = (found.problems.len() as u64).saturating_sub(found.without_one_end);
        let mut problems = found.problems;
        problems.truncate(SHOWN);
        Self {
            seed: *seed,
            seconds: during.as_secs_f64(),
            calls: seen.calls,
            calls_per_second: seen.calls as f64 / during.as_secs_f64(),
            returned: seen.returned.len(),
            failed: seen.failed,
            limited: seen.limited,
            cancelled: seen.cancelled,
            kills: faults
                .happened
                .get(&Kind::Kill)
                .copied()
                .unwrap_or_default(),
            faults: faults.happened.clone(),
            creates_at_the_api: counts.creates,
            rate_limited_by_the_api: counts.rate_limited,
            calls_recorded: found.recorded,
            late_ends: found.late,
            instances: found.instances,
            tokens_of_unknown_id: found.unknown,
            stopped_complete: stopped,
            calls_without_one_end: found.without_one_end,
            unaccounted,
            over_limit: found.over_limit,
            before_until: counts.before_until,
            problems,
        }
    }

    /// Returns whether every promise was kept.
    pub(crate) fn is_clean(&self) -> bool {
        self.calls_without_one_end + self.unaccounted + self.over_limit + self.before_until == 0
    }

    pub(crate) fn print(&self) {
        for problem in &self.problems {
            println!("{problem}");
        }
        let value = serde_json::to_value(self).unwrap_or_default();
        for (name, value) in value.as_object().into_iter().flatten() {
            if name != "problems" {
                println!("{name:26}  {value}");
            }
        }
        println!(
            "{}",
            if self.is_clean() {
                "every promise was kept"
            } else {
                "A PROMISE WAS BROKEN"
            }
        );
    }
}

/// Shows how far the calls are: a line that is written again on a terminal, otherwise one every ten seconds.
pub(crate) fn progress(driver: &Driver, fleet: &Fleet, during: Duration, shown: &mut u64) {
    let (made, calls, seconds) = (driver.made(), driver.calls, during.as_secs().max(1));
    let is_terminal = stdout().is_terminal();
    if !is_terminal && seconds < *shown + 10 {
        return;
    }
    *shown = seconds;
    let filled = usize::try_from(made * 30 / calls.max(1)).unwrap_or(30);
    let running = fleet.replicas.iter().filter(|it| it.is_running()).count();
    let kills = fleet.kills.load(Ordering::Relaxed);
    let line = format!(
        "[{:-<30}] {made}/{calls} calls, {}/s, {running} gateways, {kills} kills",
        "#".repeat(filled),
        made / seconds,
    );
    let end = if is_terminal { "\r" } else { "\n" };
    print!("{line}{end}");
    let _ = stdout().flush();
}
