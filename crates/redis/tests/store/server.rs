//! A real Redis, which ends with its value.

#[allow(clippy::duplicate_mod, reason = "a test may have several servers")]
#[path = "../../../../tests/support/wait.rs"]
mod wait;

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clerk_actor_tokens_redis::{Redis, RedisConfig};
use redis::{Client, Connection};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) use self::wait::*;

/// Redis on a socket in a temporary folder, without persistence.
pub(crate) struct Server {
    folder: TempDir,
    process: Option<Child>,
    arguments: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut server = Self::stopped();
        server.arguments = arguments.iter().map(ToString::to_string).collect();
        server.restart();
        server
    }

    /// Returns a server that does not run yet.
    pub(crate) fn stopped() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            process: None,
            arguments: Vec::new(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// Starts it, and waits until it responds.
    pub(crate) fn restart(&mut self) {
        self.kill();
        _ = std::fs::remove_file(self.socket());
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .args(["--unixsocket", self.socket().to_str().unwrap()])
            .args(["--dir", self.folder.path().to_str().unwrap()])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is missing: .ci/servers installs it");
        self.process = Some(process);
        wait_until(|| Client::open(self.url()).unwrap().get_connection().is_ok());
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        kill_process(Pid::from_child(process), signal).unwrap();
    }

    /// Returns a configuration with a limit that a busy machine keeps.
    pub(crate) fn config(&self) -> RedisConfig {
        let config = RedisConfig::new(&self.url()).unwrap();
        config.command_limit(Duration::from_secs(2))
    }

    /// Returns a connection that works.
    pub(crate) async fn connect(&self) -> Redis {
        connected(self.config()).await
    }

    /// Returns a connection for commands of the test itself.
    pub(crate) fn admin(&self) -> Connection {
        Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Runs a command of the test itself.
    pub(crate) fn run(&self, command: &[&str]) {
        let (name, arguments) = command.split_first().unwrap();
        redis::cmd(name)
            .arg(arguments)
            .exec(&mut self.admin())
            .unwrap();
    }

    /// Returns how often a command has run without an error.
    pub(crate) fn count(&self, command: &str) -> u64 {
        let mut info = redis::cmd("INFO");
        let stats: String = info.arg("commandstats").query(&mut self.admin()).unwrap();
        let prefix = format!("cmdstat_{command}:");
        let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
        let value = |name| -> u64 {
            let mut fields = line.into_iter().flat_map(|line| line.split(','));
            fields
                .find_map(|field| field.strip_prefix(name))
                .map_or(0, |it| it.parse().unwrap())
        };
        value("calls=") - value("failed_calls=")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) async fn connected(config: RedisConfig) -> Redis {
    let redis = config.connect().unwrap();
    soon(redis.available()).await;
    redis
}

/// Returns a port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
