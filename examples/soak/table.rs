//! The table that is printed at the end.

use std::{fs, thread};

use crate::{args::Args, books::Tally, ending::Ending};

pub(crate) fn print(args: &Args, ours: &Tally, baseline: &Tally) {
    let (calls, percent) = (grouped(args.calls), args.faults * 100.0);
    let cores = thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{calls} calls by each client, {} at once, {percent} % faults, seed {}, {cores} cores",
        args.concurrency, args.seed
    );
    let row = |name: &str, of: &dyn Fn(&Tally) -> String| {
        println!("{name:<32}{:>14}{:>14}", of(ours), of(baseline));
    };
    let count = |name: &str, of: fn(&Tally) -> u64| row(name, &|tally| grouped(of(tally)));
    println!();
    println!("{:<32}{:>14}{:>14}", "", "this crate", "by hand");
    count("creates", |it| it.creates);
    count("  succeeded", |it| it.succeeded);
    count("  failed", |it| it.failed);
    count("    without effect, by the error", |it| it.ruled_out);
    count("  cancelled", Tally::cancelled);
    count("tokens minted", |it| it.minted);
    count("  returned", |it| it.returned);
    count("  revoked", |it| it.revoked);
    count("  reported", |it| it.reported);
    count("  expired", |it| it.expired);
    count("  orphaned", |it| it.orphaned);
    for ending in Ending::ALL {
        if ours.orphaned_by[ending as usize] + baseline.orphaned_by[ending as usize] > 0 {
            row(&format!("    {}", ending.words()), &|it| {
                grouped(it.orphaned_by[ending as usize])
            });
        }
    }
    count("revoked, although returned", |it| it.taken_away);
    count("minted, although ruled out", |it| it.denied);
    count("reports without a live token", |it| it.reports_of_nothing);
    row("calling", &|it| {
        format!("{:.1} s", it.calling.as_secs_f64())
    });
    row("draining", &|it| {
        format!("{:.1} s", it.draining.as_secs_f64())
    });
    row("calls per second", &|it| {
        let seconds = (it.calling + it.draining).as_secs_f64();
        grouped((it.calls as f64 / seconds) as u64)
    });
    println!();
    if let Some(peak) = peak_memory() {
        println!("peak memory, clients and sandboxes together: {peak} MB");
    }
    println!(
        "{}",
        if ours.keeps_the_promise() {
            "every credential that was minted is returned, revoked or reported"
        } else {
            "THE PROMISE IS BROKEN"
        }
    );
}

/// Formats a number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Returns the peak memory of the process in megabytes, if the system reports it.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes / 1024)
}
