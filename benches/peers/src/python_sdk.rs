//! Clerk's Python SDK, whose calls `python_sdk.py` makes.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use crate::{ADMIN_ID, Endpoints, Error, LIFE_SECONDS, Protocol, Round, SECRET_KEY, USER_ID};

/// The SDK in a process of its own, which ends with this.
pub struct PythonSdk {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl PythonSdk {
    pub const NAME: &str = "Clerk's Python SDK";

    /// By the interpreter that the variable `PYTHON_SDK` names. None without it, and over HTTP/2.
    pub fn start(endpoints: &Endpoints, protocol: Protocol) -> Result<Option<Self>, Error> {
        let Some(python) = env::var_os("PYTHON_SDK") else {
            return Ok(None);
        };
        if protocol == Protocol::Http2Tls {
            return Ok(None);
        }
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python_sdk.py"))
            .args([endpoints.base_url(protocol), endpoints.certificate_hex()])
            .args([SECRET_KEY, USER_ID, ADMIN_ID, &LIFE_SECONDS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().ok_or("the SDK reads nothing")?;
        let answers = process.stdout.take().ok_or("the SDK prints nothing")?;
        Ok(Some(Self {
            process,
            orders,
            answers: BufReader::new(answers),
        }))
    }

    /// Blocks: nothing else runs in this process meanwhile.
    pub fn round(&mut self, in_flight: usize, calls: usize) -> Result<Round, Error> {
        writeln!(self.orders, "{in_flight} {calls}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let mut seconds = answer
            .split_whitespace()
            .map(|word| Ok(Duration::try_from_secs_f64(word.parse()?)?));
        let mut next = || seconds.next().ok_or("the SDK made no round")?;
        Ok(Round {
            wall: next()?,
            processor: next()?,
            latencies: seconds.collect::<Result<_, Error>>()?,
        })
    }
}

impl Drop for PythonSdk {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
