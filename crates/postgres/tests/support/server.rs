//! A real PostgreSQL, which ends with the last test that uses it.

#[allow(clippy::duplicate_mod, reason = "a test may have several servers")]
#[path = "../../../../tests/support/wait.rs"]
mod wait;

use std::{
    fs::File,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use clerk_actor_tokens_postgres::{PostgresConfig, PostgresStore};
use clerk_actor_tokens_store::Anchors;
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;
use tokio_postgres::{
    Client, NoTls,
    types::{FromSqlOwned, ToSql},
};

pub(crate) use self::wait::*;

/// A database of its own. It ends with its value.
pub(crate) struct Server {
    cluster: Arc<Cluster>,
    database: String,
}

/// PostgreSQL on a socket in a temporary folder.
struct Cluster {
    folder: TempDir,
    process: Mutex<Option<Child>>,
    options: Vec<String>,
    databases: Mutex<u32>,
}

/// The cluster of tests that run at the same time and need no other settings.
static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

impl Server {
    /// Creates a database in a cluster that other tests use as well.
    pub(crate) fn start() -> Self {
        let mut shared = lock(&SHARED);
        let cluster = shared.upgrade().unwrap_or_else(|| {
            let new = Cluster::start(&["max_connections=300"]);
            *shared = Arc::downgrade(&new);
            new
        });
        Self::on(cluster)
    }

    /// Starts a cluster of its own with settings, such as `max_connections=10`. It can be killed.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        Self::on(Cluster::start(options))
    }

    fn on(cluster: Arc<Cluster>) -> Self {
        let number = {
            let mut databases = lock(&cluster.databases);
            *databases += 1;
            *databases
        };
        let server = Self {
            cluster,
            database: format!("test_{number}"),
        };
        let mut command = Command::new(binary("createdb"));
        command.args(["-U", "postgres", "-h"]).arg(server.socket());
        succeed(command.arg(&server.database));
        server
    }

    pub(crate) fn socket(&self) -> &Path {
        self.cluster.folder.path()
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Starts it again, and waits until it responds.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.cluster.run();
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        assert_eq!(Arc::strong_count(&self.cluster), 1, "other tests use it");
        self.cluster.kill();
    }

    /// Returns the path of the server's log.
    pub(crate) fn log(&self) -> PathBuf {
        self.cluster.folder.path().join("log")
    }

    pub(crate) fn anchors(&self) -> PathBuf {
        let name = format!("{}.jsonl", self.database);
        self.cluster.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        let (socket, database) = (self.socket().display(), &self.database);
        format!("host={socket} user=postgres dbname={database}")
    }

    /// Returns a configuration with limits that a busy machine keeps. Anchors go to a file.
    pub(crate) fn config(&self) -> PostgresConfig {
        self.config_at(&self.url())
    }

    pub(crate) fn config_at(&self, url: &str) -> PostgresConfig {
        PostgresConfig::new(url)
            .unwrap()
            .statement_limit(Duration::from_secs(20))
            .anchors(Anchors::File(self.anchors()))
    }

    pub(crate) async fn connect(&self) -> PostgresStore {
        self.config().connect().await.unwrap()
    }

    /// Returns a connection for statements of the test itself, in the schema of the tables.
    pub(crate) async fn admin(&self) -> Admin {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let search_path = "SET search_path = actor_tokens";
        client.batch_execute(search_path).await.unwrap();
        Admin(client)
    }
}

impl Cluster {
    fn start(options: &[&str]) -> Arc<Self> {
        let cluster = Self {
            folder: TempDir::new().unwrap(),
            process: Mutex::default(),
            options: options.iter().map(ToString::to_string).collect(),
            databases: Mutex::default(),
        };
        give_to_server(cluster.folder.path());
        let mut command = cluster.command("initdb");
        command.args(["--auth=trust", "--username=postgres", "--encoding=UTF8"]);
        succeed(command.args(["--locale=C", "--no-sync"]));
        cluster.run();
        Arc::new(cluster)
    }

    /// Returns a command of PostgreSQL on the data of this cluster.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary(name));
        if let Some((user, group)) = other_user() {
            command.uid(user).gid(group);
        }
        command.current_dir(self.folder.path());
        command.args(["-D", "data"]);
        command
    }

    fn run(&self) {
        let mut command = self.command("postgres");
        command.args(["-c", "listen_addresses=", "-c", "fsync=on", "-k"]);
        command.arg(self.folder.path());
        for option in &self.options {
            command.args(["-c", option]);
        }
        let path = self.folder.path().join("log");
        let log = File::options().append(true).create(true).open(path);
        command.stdout(Stdio::null()).stderr(log.unwrap());
        *lock(&self.process) = Some(command.spawn().unwrap());
        wait_until(|| {
            let mut ready = Command::new(binary("pg_isready"));
            let ready = ready.arg("-q").arg("-h").arg(self.folder.path());
            ready.status().unwrap().success()
        });
    }

    fn kill(&self) {
        if let Some(mut process) = lock(&self.process).take() {
            // Its children notice an immediate shutdown sooner than a SIGKILL.
            kill_process(Pid::from_child(&process), Signal::QUIT).unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn succeed(command: &mut Command) {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
}

/// A connection of the test itself.
pub(crate) struct Admin(pub(crate) Client);

impl Admin {
    /// Returns the one value of a statement.
    pub(crate) async fn value<T: FromSqlOwned>(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> T {
        self.0.query_one(sql, parameters).await.unwrap().get(0)
    }

    /// Returns a column of text.
    pub(crate) async fn column(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Vec<String> {
        let rows = self.0.query(sql, parameters).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Ends the connection that holds the advisory lock of an instance, and waits until the lock is free.
    pub(crate) async fn cut(&self, instance: &str) {
        let holder = "SELECT l.pid FROM pg_locks l JOIN instances i
            ON l.locktype = 'advisory' AND i.lock = (l.classid::bigint << 32) + l.objid::bigint
            WHERE i.instance = $1";
        let pid: i32 = self.value(holder, &[&instance]).await;
        let end: bool = self
            .value("SELECT pg_terminate_backend($1, 20000)", &[&pid])
            .await;
        assert!(end);
    }

    /// Makes the last beat of an instance as old as a sweep waits for.
    pub(crate) async fn age(&self, instance: &str) {
        let sql = "UPDATE instances SET beat_at = now() - interval '1 hour' WHERE instance = $1";
        assert_eq!(self.0.execute(sql, &[&instance]).await.unwrap(), 1);
    }
}

/// Makes the user of the server the owner of a file. PostgreSQL refuses to run as root.
pub(crate) fn give_to_server(path: &Path) {
    if let Some((user, group)) = other_user() {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

/// Returns the user to run PostgreSQL as, if this one is root: the owner of Debian's folder for its data.
fn other_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;

    getuid().is_root().then(|| {
        let home = std::fs::metadata("/var/lib/postgresql");
        let home = home.expect("the user postgres is missing: .ci/servers installs it");
        (home.uid(), home.gid())
    })
}

/// Returns the path of a command, of the newest PostgreSQL of Debian, or from the PATH.
fn binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let paths = versions.into_iter().flatten().map(|it| it.unwrap().path());
    let newest = paths.max_by_key(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.parse::<u32>().unwrap_or_default()
    });
    newest.map_or_else(|| name.into(), |path| path.join("bin").join(name))
}
