//! [`Rounds`], those of one caller, in a process of its own.

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

/// The rounds of one caller, in a process of its own, which ends with this. No caller finds the memory,
/// the sockets or the timers of another.
///
/// An order is a line: "<calls in flight> <calls>". Its answer is a line of seconds: the round's on the
/// clock, those of the processor, and those of each call.
pub struct Rounds {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Rounds {
    /// Those of a peer, which this program makes when it is called with these arguments.
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

    /// Those of Clerk's Python SDK, by the interpreter that the variable `PYTHON_SDK` names. None without
    /// it, and over HTTP/2.
    pub fn of_python_sdk(protocol: Protocol, endpoints: &Endpoints) -> Result<Option<Self>, Error> {
        let Some(python) = env::var_os("PYTHON_SDK") else {
            return Ok(None);
        };
        if protocol == Protocol::Http2Tls {
            return Ok(None);
        }
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
        let orders = process.stdin.take().ok_or("the caller reads nothing")?;
        let answers = process.stdout.take().ok_or("the caller prints nothing")?;
        Ok(Self {
            process,
            orders,
            answers: BufReader::new(answers),
        })
    }

    /// One of them. Blocks: nothing else runs in this process meanwhile.
    pub fn next(&mut self, in_flight: usize, calls: usize) -> Result<Round, Error> {
        writeln!(self.orders, "{in_flight} {calls}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let mut seconds = answer
            .split_whitespace()
            .map(|word| Ok(Duration::try_from_secs_f64(word.parse()?)?));
        let mut next = || seconds.next().ok_or("the caller made no round")?;
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

/// Makes rounds of calls by a peer, as they are ordered.
pub fn make_rounds(kind: PeerKind, protocol: Protocol, endpoints: &Endpoints) -> Result<(), Error> {
    let runtime = runtime();
    let peer = {
        let _inside = runtime.enter();
        Arc::new(Peer::new(kind, endpoints, protocol)?)
    };
    for order in io::stdin().lines() {
        let order = order?;
        let (in_flight, calls) = order.split_once(' ').ok_or("not an order")?;
        let round = runtime.block_on(Round::of(&peer, in_flight.parse()?, calls.parse()?))?;
        let mut answer = io::stdout().lock();
        for time in [round.wall, round.processor].iter().chain(&round.latencies) {
            write!(answer, "{} ", time.as_secs_f64())?;
        }
        writeln!(answer)?;
    }
    Ok(())
}
