//! Prints the cost of a create over loopback, compared with its peers, as Markdown tables.
//!
//! ```text
//! bench_peers loopback [n]       throughput, latency and processor time, with n calls in flight
//! bench_peers counts             instructions and allocations
//! bench_peers cold               building a client, and its first call
//! bench_peers profile            instructions by the crate that they belong to
//! bench_peers plot <file.svg>    a plot of throughput and allocations
//! ```
//!
//! Throughput includes Clerk's Python SDK if `PYTHON_SDK` names an interpreter that has it.

mod caller;
mod cold;
mod counts;
mod loopback;
mod plot;
mod profile;

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use bench_peers::{Endpoints, Error, Processor, run_rounds, serve};

fn main() -> Result<(), Error> {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    if args == ["serve"] {
        Processor::Server.pin()?;
        let runtime = bench_peers::runtime();
        return runtime.block_on(serve());
    }
    if let ["rounds", peer, protocol, endpoints] = args[..] {
        Processor::Client.pin()?;
        return run_rounds(peer.parse()?, protocol.parse()?, &endpoints.parse()?);
    }
    let server = Server::start()?;
    Processor::Client.pin()?;
    match args[..] {
        ["loopback"] => loopback::print(&server.endpoints, &loopback::CONCURRENCY),
        ["loopback", in_flight] => loopback::print(&server.endpoints, &[in_flight.parse()?]),
        ["counts"] => counts::print(&server.endpoints),
        ["cold"] => cold::print(&server.endpoints),
        ["profile"] => profile::print(&server.endpoints),
        ["plot", file] => plot::draw(&server.endpoints, file),
        _ => Err("usage: bench_peers loopback [n]|counts|cold|profile|plot <file.svg>".into()),
    }
}

/// The server in its own process, which is killed on drop.
struct Server {
    process: Child,
    endpoints: Endpoints,
}

impl Server {
    fn start() -> Result<Self, Error> {
        let mut process = Command::new(env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the server prints nothing")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let endpoints = line.parse()?;
        Ok(Self { process, endpoints })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
