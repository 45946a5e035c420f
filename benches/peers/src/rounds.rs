//! The rounds of one caller, in its own process.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use crate::{
    ADMIN_ID, Endpoints, Error, LIFE_SECONDS, Peer, PeerKind, Protocol, Round, SECRET_KEY, USER_ID,
    runtime,
};

/// A process that makes the rounds of one caller, and is killed on drop.
///
/// Input: "<calls in flight> <calls>". Output in seconds: wall time, CPU time, and the latency of each
/// call.
pub struct Rounds {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Rounds {
    /// Starts this program with the arguments for [`run_rounds`].
    pub fn of_peer(
        kind: PeerKind,
        protocol: Protocol,
        endpoints: &Endpoints,
    ) -> Result<Self, Error> {
        let mut program = Command::new(env::current_exe()?);
        program
            .args(["rounds", kind.name()])
            .args([protocol.to_string(), endpoints.to_string()]);
        Self::of(program)
    }

    /// Starts the interpreter in the variable `PYTHON_SDK`. `None` without it, and over HTTP/2.
    pub fn of_python_sdk(protocol: Protocol, endpoints: &Endpoints) -> Result<Option<Self>, Error> {
        let python = env::var_os("PYTHON_SDK").filter(|_| protocol != Protocol::Http2Tls);
        let Some(python) = python else {
            return Ok(None);
        };
        let mut program = Command::new(python);
        program
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python_sdk.py"))
            .args([endpoints.base_url(protocol), endpoints.certificate_hex()])
            .args([SECRET_KEY, USER_ID, ADMIN_ID, &LIFE_SECONDS.to_string()]);
        Self::of(program).map(Some)
    }

    fn of(mut program: Command) -> Result<Self, Error> {
        let mut process = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().ok_or("no standard input")?;
        let output = process.stdout.take().ok_or("no standard output")?;
        Ok(Self {
            process,
            input,
            output: BufReader::new(output),
        })
    }

    /// Makes a round. Blocks, so that this process uses no CPU time.
    pub fn next(&mut self, in_flight: usize, calls: usize) -> Result<Round, Error> {
        writeln!(self.input, "{in_flight} {calls}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let mut seconds = line
            .split_whitespace()
            .map(|word| Ok(Duration::try_from_secs_f64(word.parse()?)?));
        let mut next = || seconds.next().ok_or("the caller failed")?;
        Ok(Round {
            wall: next()?,
            processor: next()?,
            latencies: seconds.collect::<Result<_, Error>>()?,
        })
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Makes a round of calls for each line of standard input.
pub fn run_rounds(kind: PeerKind, protocol: Protocol, endpoints: &Endpoints) -> Result<(), Error> {
    let runtime = runtime();
    let peer = {
        let _inside = runtime.enter();
        Arc::new(Peer::new(kind, endpoints, protocol)?)
    };
    for line in io::stdin().lines() {
        let line = line?;
        let (in_flight, calls) = line.split_once(' ').ok_or("not two numbers")?;
        let round = runtime.block_on(Round::of(&peer, in_flight.parse()?, calls.parse()?))?;
        let mut output = io::stdout().lock();
        for time in [round.wall, round.processor].iter().chain(&round.latencies) {
            write!(output, "{} ", time.as_secs_f64())?;
        }
        writeln!(output)?;
    }
    Ok(())
}
