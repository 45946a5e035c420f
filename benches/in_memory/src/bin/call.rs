//! Makes a number of calls, for callgrind.
//!
//! ```text
//! call <case> <calls>
//! ```

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let case = args.next().and_then(|name| bench_in_memory::find(&name));
    let calls = args.next().and_then(|calls| calls.parse().ok());
    let (Some(case), Some(calls)) = (case, calls) else {
        eprintln!("usage: call <case> <calls>");
        for case in bench_in_memory::cases() {
            eprintln!("  {}", case.name);
        }
        return ExitCode::FAILURE;
    };
    let runtime = bench_in_memory::runtime();
    case.prepare()(&runtime, calls);
    ExitCode::SUCCESS
}
