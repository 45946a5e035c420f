//! [`Args`], the options of the command line.

use std::{str::FromStr, time::Duration};

/// The options of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) calls: u64,
    pub(crate) concurrency: usize,
    pub(crate) faults: f64,
    pub(crate) life: Duration,
    pub(crate) seed: u64,
}

impl Args {
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut read = Self {
            calls: 20_000,
            concurrency: 256,
            faults: 0.05,
            life: Duration::from_secs(3600),
            seed: 1,
        };
        while let Some(name) = args.next() {
            let value = args.next().unwrap_or_default();
            match name.as_str() {
                "--calls" => read.calls = parse(&name, &value)?,
                "--concurrency" => read.concurrency = parse(&name, &value)?,
                "--faults" => read.faults = parse(&name, &value)?,
                "--life" => read.life = Duration::from_secs(parse(&name, &value)?),
                "--seed" => read.seed = parse(&name, &value)?,
                _ => return Err(format!("{name} is not known: see the top of main.rs")),
            }
        }
        Ok(read)
    }
}

fn parse<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    let parsed = value.parse();
    parsed.map_err(|_| format!("{name} needs a number, not {value:?}"))
}
