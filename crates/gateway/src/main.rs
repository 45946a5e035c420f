//! The gateway's program. It is short because each subcommand is a module of `cli`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
