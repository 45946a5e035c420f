//! Checks the limit of each actor in every window of time.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use crate::replica::{BURST, IN_TEN_SECONDS};

/// How long after it has taken a unit a create mints its token at most: the timeout of a call, and a request in flight.
const FROM_UNIT_TO_TOKEN: Duration = Duration::from_secs(6);

/// How far the time of a change that was logged is from its effect.
const AROUND_CHANGE: Duration = Duration::from_secs(2);

/// Counts the tokens that actors got beyond their limit, in the worst window of each.
///
/// A window allows one burst, what is refilled in it, and one burst more for each of `changes`: a change between Redis
/// and local limits, or a loss of the data of Redis or of a process.
pub(crate) fn over_limit<'a>(
    minted: impl Iterator<Item = (&'a str, SystemTime)>,
    changes: &[SystemTime],
) -> u64 {
    let mut changes = changes.to_vec();
    changes.sort_unstable();
    let mut actors: BTreeMap<&str, Vec<SystemTime>> = BTreeMap::new();
    for (actor, at) in minted {
        actors.entry(actor).or_default().push(at);
    }
    let worst = actors.into_values().map(|mut times| {
        times.sort_unstable();
        let windows = (0..times.len()).flat_map(|i| (i..times.len()).map(move |j| (i, j)));
        let over = windows.map(|(i, j)| over(times[i], times[j], j - i + 1, &changes));
        over.max().unwrap_or_default()
    });
    worst.sum()
}

/// Returns how many of `count` tokens between two times are too many.
fn over(first: SystemTime, last: SystemTime, count: usize, changes: &[SystemTime]) -> u64 {
    let count = count as u64;
    if count <= BURST {
        return 0;
    }
    let begin = first - FROM_UNIT_TO_TOKEN;
    let before = |time| changes.partition_point(|change| *change < time) as u64;
    let changed = before(last + AROUND_CHANGE) - before(begin - AROUND_CHANGE);
    let millis = last.duration_since(begin).unwrap_or_default().as_millis() as u64;
    let refilled = millis * IN_TEN_SECONDS / 10_000 + 1;
    count.saturating_sub(BURST * (1 + changed) + refilled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn tokens(per_second: u32, seconds: u32) -> Vec<(&'static str, SystemTime)> {
        let token = |n| {
            (
                "user_a",
                START + Duration::from_secs(100) + Duration::from_secs(1) * n / per_second,
            )
        };
        (0..per_second * seconds).map(token).collect()
    }

    #[test]
    fn tokens_at_the_rate_of_the_limit_are_within_it() {
        let rate = u32::try_from(IN_TEN_SECONDS / 10).unwrap();
        assert_eq!(over_limit(tokens(rate, 120).into_iter(), &[]), 0);
    }

    #[test]
    fn tokens_at_twice_the_rate_are_over_the_limit_in_some_window() {
        let twice = u32::try_from(IN_TEN_SECONDS / 5).unwrap();
        let quiet = || (0..1000).map(|n| ("user_b", START + Duration::from_secs(1) * n));
        assert!(over_limit(quiet().chain(tokens(twice, 20)), &[]) > 0);
        // A change allows a burst more, and only near it.
        let near = [START + Duration::from_secs(110); 5];
        let far = [START + Duration::from_secs(300); 5];
        assert_eq!(over_limit(tokens(twice, 20).into_iter(), &near), 0);
        assert!(over_limit(tokens(twice, 20).into_iter(), &far) > 0);
    }
}
