//! A gateway before a sandbox, its callers and its operators.

#![allow(dead_code, reason = "no test binary needs all of it")]

use std::{
    fs,
    future::pending,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use clerk_actor_tokens::{
    Actor, Client, CreateActorToken, RetryConfig, SecretKey,
    sandbox::{Sandbox, SandboxServer},
};
use clerk_actor_tokens_gateway::{
    Config, Gateway, OpenError,
    serve::{ServeOptions, middleware, serve},
    storage::StorageError,
    store::StoreError,
};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

#[path = "../text/mod.rs"]
pub(crate) mod text;

/// The key of the caller `billing`.
pub(crate) const KEY: &str = "sk_test_q8Zt3vN0cXwL5rYd";

/// The operators: one for each role, and one with all. The token of an operator is its name after `token-`.
pub(crate) const OPERATORS: [(&str, &[&str]); 5] = [
    ("viewer", &["view"]),
    ("impersonator", &["impersonate"]),
    ("ender", &["end"]),
    ("pauser", &["pause"]),
    ("chief", &["view", "impersonate", "end", "pause"]),
];

/// A gateway before a sandbox.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) sandbox: Sandbox,
    /// Keeps the sandbox served.
    pub(crate) server: Option<SandboxServer>,
    folder: TempDir,
    config: String,
}

/// A response of the admin API.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Returns the code of the first error.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap().into()
    }
}

impl World {
    /// Opens a gateway before this sandbox, with more lines of configuration.
    pub(crate) async fn open(sandbox: Sandbox, more: &str) -> Self {
        Self::open_with_key(sandbox, KEY, more).await
    }

    /// Opens a gateway whose caller has this key.
    pub(crate) async fn open_with_key(sandbox: Sandbox, key: &str, more: &str) -> Self {
        Self::open_edited(sandbox, key, |config| config + more).await
    }

    /// Opens a gateway with one more line in a section of its configuration, such as `[clerk]`.
    pub(crate) async fn open_with_line(sandbox: Sandbox, section: &str, line: &str) -> Self {
        let edit = |config: String| config.replace(section, &format!("{section}\n{line}"));
        Self::open_edited(sandbox, KEY, edit).await
    }

    async fn open_edited(sandbox: Sandbox, key: &str, edit: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = sandbox.spawn().await.unwrap();
        let config = edit(config(folder.path(), &sandbox, &server, key));
        let gateway = Gateway::open(parse(&config)).await.unwrap();
        Self {
            gateway,
            sandbox,
            server: Some(server),
            folder,
            config,
        }
    }

    /// Ends the gateway and opens another one over the same database.
    pub(crate) async fn reopen(self) -> Self {
        self.reopen_after(async |_| ()).await
    }

    /// Ends the gateway, does something with its database, and opens another gateway over it.
    pub(crate) async fn reopen_after(self, between: impl AsyncFnOnce(&Path)) -> Self {
        let shutdown = self.gateway.shutdown(Duration::from_secs(30)).await;
        assert!(shutdown.is_complete);
        drop(self.gateway);
        between(&text::database(self.folder.path())).await;
        let gateway = loop {
            match Gateway::open(parse(&self.config)).await {
                // The thread of the writer ends after its last handle.
                Err(OpenError::Storage(StorageError::Sqlite(StoreError::InUse { .. }))) => {
                    tokio::task::yield_now().await;
                }
                opened => break opened.unwrap(),
            }
        };
        Self { gateway, ..self }
    }

    pub(crate) fn database(&self) -> PathBuf {
        text::database(self.folder.path())
    }

    /// Returns the contents of all files of the gateway, except the secrets.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        let files = files.map(|file| file.unwrap().path()).map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        });
        files
            .filter(|(name, _)| name != "own" && name != "key")
            .collect()
    }

    /// Sends a request of an operator.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: &str,
        operator: &str,
    ) -> Received {
        ask(&self.gateway, method, path, body, operator).await
    }

    /// Serves the gateway over TCP.
    pub(crate) async fn serve(&self) -> Served {
        Served::start(&self.gateway).await
    }
}

/// Sends a request of an operator to the admin API.
pub(crate) async fn ask(
    gateway: &Gateway,
    method: &str,
    path: &str,
    body: &str,
    operator: &str,
) -> Received {
    let request = Request::builder()
        .method(method)
        .uri(format!("/admin/v1{path}"))
        .header("authorization", format!("Bearer token-{operator}"));
    let request = match body {
        "" => request.body(Body::empty()),
        body => request
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned())),
    };
    received(gateway.app(), request.unwrap()).await
}

/// A gateway that is served until this is dropped.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Served {
    pub(crate) async fn start(gateway: &Gateway) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = middleware(gateway.app(), Duration::from_secs(10));
        let options = ServeOptions::default();
        let task = tokio::spawn(async move {
            serve(listener, app, options, pending::<()>())
                .await
                .unwrap();
        });
        Self {
            addr,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Returns a client that has this key and does not retry.
    pub(crate) fn sdk(&self, key: &str) -> Client {
        Client::builder(SecretKey::new(key).unwrap())
            .base_url(format!("http://{}/v1", self.addr))
            .retry(RetryConfig::disabled())
            .build()
            .unwrap()
    }
}

pub(crate) async fn received(app: Router, request: Request<Body>) -> Received {
    let (head, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Received {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(body.into()).unwrap(),
    }
}

pub(crate) fn create() -> CreateActorToken {
    CreateActorToken::new("user_subject", Actor::new("user_admin"))
}

pub(crate) fn parse(config: &str) -> Config {
    toml::from_str(config).unwrap()
}

/// Writes the keys, and returns the text of a configuration.
pub(crate) fn config(
    folder: &Path,
    sandbox: &Sandbox,
    server: &SandboxServer,
    key: &str,
) -> String {
    let secret = |name: &str, key: &str| {
        let path = folder.join(name);
        fs::write(&path, key).unwrap();
        format!("{{ file = \"{}\" }}", path.display())
    };
    let own = secret("own", sandbox.secret_key().expose());
    let key = secret("key", key);
    let mut config = text::config(folder, &server.base_url().to_string(), &own);
    config += &format!(
        r#"
[policy.subjects]
deny = ["user_denied"]
[policy.keys]
billing = ["user_*"]
[keys]
billing = [{key}]
"#
    );
    let operators = OPERATORS.iter();
    let operators =
        operators.map(|(name, roles)| text::operator(name, &format!("token-{name}"), roles));
    config.extend(operators);
    config
}
