//! A gateway in a process of its own, in front of a sandbox.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use clerk_actor_tokens::{Client, RetryConfig, SecretKey, sandbox::Sandbox};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

#[allow(clippy::duplicate_mod, reason = "a test may also have `world`")]
#[path = "../text/mod.rs"]
pub(crate) mod text;

/// The key of callers.
pub(crate) const WIRE_KEY: &str = "sk_test_q8Zt3vN0cXwL5rYd";

/// The token of an operator who may do everything.
pub(crate) const OPERATOR_TOKEN: &str = "op_9fT2kLw7vXcB4nQm1sZd8rHy3gPj6aEu";

/// Reads the numbers that follow options such as `--seconds` on the command line, in place of these ones.
pub(crate) fn options<const N: usize>(mut options: [(&str, u64); N]) -> Option<[u64; N]> {
    let mut args = env::args().skip(1);
    while let Some(name) = args.next() {
        let (_, value) = options.iter_mut().find(|(known, _)| *known == name)?;
        *value = args.next()?.parse().ok()?;
    }
    Some(options.map(|(_, value)| value))
}

/// Writes the configuration of a gateway with its files in `folder`, and returns where it stands. `more` is
/// added to the text.
pub(crate) fn config(folder: &Path, clerk: &str, more: &str) -> PathBuf {
    const SERVER: &str = r#"
[policy.keys]
desk = ["user_*"]

[keys]
desk = [{ env = "DESK_KEY" }]

[server]
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"
"#;
    let config = text::config(folder, clerk, r#"{ env = "CLERK_SECRET_KEY" }"#);
    let roles = ["view", "impersonate", "end", "pause"];
    let operator = text::operator("olga", OPERATOR_TOKEN, &roles);
    let path = folder.join("gateway.toml");
    fs::write(&path, [more, &config, SERVER, &operator].concat()).unwrap();
    path
}

/// Returns the gateway's program. Cargo names it for tests; for examples it stands one folder above.
fn program() -> PathBuf {
    const NAME: &str = "clerk-actor-tokens-gateway";
    match option_env!("CARGO_BIN_EXE_clerk-actor-tokens-gateway") {
        Some(program) => program.into(),
        None => env::current_exe()
            .unwrap()
            .parent()
            .unwrap()
            .with_file_name(NAME),
    }
}

/// A gateway's process. It is killed on drop.
pub(crate) struct GatewayProcess {
    child: Child,
    /// The address of callers, such as `http://127.0.0.1:4020`.
    pub(crate) address: String,
    /// The address of the host.
    pub(crate) ops: String,
}

impl GatewayProcess {
    /// Starts a gateway, and returns once it listens.
    pub(crate) async fn start(config: &Path, sandbox: &Sandbox) -> Self {
        let mut child = Command::new(program())
            .args(["serve".as_ref(), "--config".as_ref(), config.as_os_str()])
            .env("CLERK_SECRET_KEY", sandbox.secret_key().expose())
            .env("DESK_KEY", WIRE_KEY)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address_of = async |name: &str| loop {
            let line = lines.next_line().await.unwrap().expect("the gateway ended");
            if let Some(address) = line.strip_prefix(name) {
                return address.trim().to_owned();
            }
        };
        let address = address_of("gateway ").await;
        let ops = address_of("ops ").await;
        // Read on, so that the gateway never waits for this test.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            child,
            address,
            ops,
        }
    }

    /// Returns a client that calls through the gateway, as an SDK would.
    pub(crate) fn client(&self) -> Client {
        Client::builder(SecretKey::new(WIRE_KEY).unwrap())
            .base_url(format!("{}/v1", self.address))
            .retry(RetryConfig::disabled())
            .build()
            .unwrap()
    }

    /// Returns the id of the process, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Stops the gateway as a supervisor does, and returns how it ended.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
        self.child.wait().await.unwrap()
    }
}
