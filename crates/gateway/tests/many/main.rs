//! Several gateways over one PostgreSQL and one Redis. Both are real servers, which must be installed.

#[allow(dead_code, reason = "it is that of the crate for PostgreSQL")]
#[path = "../../../postgres/tests/support/server.rs"]
mod postgres;
#[allow(dead_code, reason = "it is that of the crate for Redis")]
#[path = "../../../redis/tests/store/server.rs"]
mod redis_server;
#[path = "../support/mod.rs"]
mod support;
#[path = "../world/mod.rs"]
mod world;

mod engines;
mod recovery;
mod settings;

use std::{fs, path::PathBuf};

use clerk_actor_tokens::sandbox::{Sandbox, SandboxServer};
use clerk_actor_tokens_gateway::{Config, Gateway};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    postgres::until,
    support::GatewayProcess,
    world::{KEY, ask, create},
};

/// What gateways share: the engines, the sandbox, and the folder of their configurations.
struct Shared {
    postgres: postgres::Server,
    redis: redis_server::Server,
    sandbox: Sandbox,
    clerk: SandboxServer,
    folder: TempDir,
}

impl Shared {
    async fn start(sandbox: Sandbox) -> Self {
        Self::over(sandbox, postgres::Server::start()).await
    }

    async fn over(sandbox: Sandbox, postgres: postgres::Server) -> Self {
        let clerk = sandbox.spawn().await.unwrap();
        let shared = Self {
            postgres,
            redis: redis_server::Server::start(),
            sandbox,
            clerk,
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(shared.file("postgres.url"), shared.postgres.url()).unwrap();
        fs::write(shared.file("redis.url"), shared.redis.url()).unwrap();
        shared
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a configuration with limits that a busy machine keeps.
    fn text(&self) -> String {
        let text = world::config(self.folder.path(), &self.sandbox, &self.clerk, KEY);
        self.over_engines(&text)
    }

    /// Returns the configuration over the engines in place of a database of its own.
    fn over_engines(&self, text: &str) -> String {
        let url = |name| format!("{{ file = \"{}\" }}", self.file(name).display());
        let database = world::text::database(self.folder.path());
        let database = format!("database = \"{}\"", database.display());
        let postgres = format!(
            "postgres = {{ url = {}, statement_limit = 20 }}",
            url("postgres.url")
        );
        assert!(text.contains(&database));
        text.replace(&database, &postgres)
            + &format!(
                "[redis]\nurl = {}\nreplicas = 2\ncommand_limit_ms = 5000\n",
                url("redis.url")
            )
    }

    fn config(&self) -> Config {
        world::parse(&self.text())
    }

    async fn open(&self) -> Gateway {
        Gateway::open(self.config()).await.unwrap()
    }

    /// Opens two gateways.
    async fn open_two(&self) -> [Gateway; 2] {
        [self.open().await, self.open().await]
    }

    /// Writes the configuration of a process. `more` is added to the text.
    fn process_config(&self, more: &str) -> PathBuf {
        let url = self.clerk.base_url().to_string();
        let path = support::config(self.folder.path(), &url, more);
        let text = self.over_engines(&fs::read_to_string(&path).unwrap());
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts a gateway in a process of its own.
    async fn process(&self, more: &str) -> GatewayProcess {
        GatewayProcess::start(&self.process_config(more), &self.sandbox).await
    }
}

/// Returns the calls that a filter finds, as the admin API has them.
async fn calls(gateway: &Gateway, filter: &str) -> Vec<Value> {
    let received = ask(gateway, "GET", &format!("/calls?{filter}"), "", "viewer").await;
    received.json()["items"].as_array().unwrap().clone()
}
