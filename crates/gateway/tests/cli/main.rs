//! The program: its subcommands, their exit codes, signals, and the demo.
#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, Client, CreateActorToken, ErrorKind, SecretKey,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_gateway::Config;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Child,
    sync::{mpsc, watch},
    time::timeout,
};

mod demo;
mod offline;
mod remote;
mod signals;

const PROGRAM: &str = env!("CARGO_BIN_EXE_clerk-actor-tokens-gateway");
const LONG: Duration = Duration::from_secs(60);
const CLERK_KEY: &str = "sk_test_hV5tYb2mNqK8rWzE";
const WIRE_KEY: &str = "sk_test_q8Zt3vN0cXwL5rYd";
const OPERATOR_TOKEN: &str = "gwop_9fT2kLw7vXcB4nQm1sZd8rHy3gPj6aEu";

/// The program without the variables of this process that it reads.
fn program() -> Command {
    let mut program = Command::new(PROGRAM);
    for name in [
        "CLERK_SECRET_KEY",
        "CLERK_API_URL",
        "RUST_LOG",
        "GATEWAY_CONFIG",
        "GATEWAY_LOG_FORMAT",
    ] {
        program.env_remove(name);
    }
    for name in [
        "GATEWAY_URL",
        "GATEWAY_TOKEN",
        "GATEWAY_CA",
        "GATEWAY_CLIENT_CERT",
    ] {
        program.env_remove(name);
    }
    program
}

fn run(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The exit code, stdout and stderr.
fn parts(output: &Output) -> (i32, &str, &str) {
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn config_text(clerk: &str) -> String {
    let token = hex::encode(Sha256::digest(OPERATOR_TOKEN));
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"
drain = 1

[clerk]
api_url = "{clerk}"
secret_key = {{ file = "clerk.key" }}

[storage]
database = "audit.sqlite"
anchors = "anchors.jsonl"

[policy]
version = "first"
lifetime = {{ default = 300, longest = 900 }}
session = {{ default = 600, longest = 1800 }}
reason = {{ via = ["console"], min_length = 5 }}
subjects = {{ deny = ["user_ceo"] }}
keys.desk = ["user_*"]

[keys]
desk = [{{ file = "desk.key" }}]

[operators.olga]
token_sha256 = "{token}"
roles = ["view", "impersonate", "end", "pause"]
actor = "user_olga"
"#
    )
}

/// Writes a configuration and its secrets, and returns where it is.
fn write_config(folder: &Path, clerk: &str) -> PathBuf {
    let files = [
        ("gateway.toml", &*config_text(clerk)),
        ("clerk.key", CLERK_KEY),
        ("desk.key", WIRE_KEY),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder.join("gateway.toml")
}

fn sandbox() -> Sandbox {
    Sandbox::new().key(SecretKey::new(CLERK_KEY).unwrap())
}

/// A running gateway. It is killed on drop.
struct Running {
    child: Child,
    stdout: mpsc::UnboundedReceiver<String>,
    stderr: mpsc::UnboundedReceiver<String>,
}

fn lines_of(stream: impl AsyncRead + Send + Unpin + 'static) -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut lines = BufReader::new(stream).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = sender.send(line);
        }
    });
    receiver
}

impl Running {
    fn start(args: &[&str]) -> Self {
        Self::start_with(args, Stdio::piped())
    }

    fn start_with(args: &[&str], stderr: Stdio) -> Self {
        let mut program = tokio::process::Command::from(program());
        let program = program.args(args).stdout(Stdio::piped()).stderr(stderr);
        let mut child = program.kill_on_drop(true).spawn().unwrap();
        let stdout = lines_of(child.stdout.take().unwrap());
        let stderr = match child.stderr.take() {
            Some(stderr) => lines_of(stderr),
            None => mpsc::unbounded_channel().1,
        };
        Self {
            child,
            stdout,
            stderr,
        }
    }

    fn serve(config: &Path) -> Self {
        Self::start(&["serve", "--config", config.to_str().unwrap()])
    }

    /// Returns what follows `name` on a line of stdout.
    async fn printed(&mut self, name: &str) -> String {
        loop {
            let line = timeout(LONG, self.stdout.recv())
                .await
                .unwrap()
                .expect("the program ended");
            if let Some(rest) = line.trim().strip_prefix(name) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Waits for a log line.
    async fn logged(&mut self, part: &str) -> String {
        loop {
            let line = timeout(LONG, self.stderr.recv())
                .await
                .unwrap()
                .expect("the program ended");
            if line.contains(part) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args([name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Returns the exit code.
    async fn ended(&mut self) -> i32 {
        let status = timeout(LONG, self.child.wait())
            .await
            .expect("it ends")
            .unwrap();
        status.code().expect("it exits by itself")
    }

    async fn stop(mut self) -> i32 {
        self.signal("-TERM");
        self.ended().await
    }
}

fn client(address: &str, key: &str) -> Client {
    let key = SecretKey::new(key).unwrap();
    Client::builder(key)
        .base_url(format!("{address}/v1"))
        .build()
        .unwrap()
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_subject", Actor::new("user_admin"))
}
