//! PostgreSQL and Redis in temporary folders, and the program of the gateway.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::Result;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);

/// Builds the gateway with the profile of this program, and returns its program.
pub(crate) fn build() -> Result<PathBuf> {
    let profile = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--locked", "--bins", "--profile", profile])
        .args(["--package", "clerk-actor-tokens-gateway"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !built.success() {
        return Err("could not build the gateway".into());
    }
    let own = std::env::current_exe()?;
    Ok(own.with_file_name("clerk-actor-tokens-gateway"))
}

/// Returns a port that is free now.
fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}

/// Waits until a server accepts connections.
fn listens(port: u16) -> Result<()> {
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > START {
            return Err(format!("the server on port {port} did not start").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// PostgreSQL in a temporary folder. It ends with its value.
pub(crate) struct Postgres {
    folder: TempDir,
    bin: PathBuf,
    process: Option<Child>,
    pub(crate) port: u16,
}

impl Postgres {
    pub(crate) fn start() -> Result<Self> {
        let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
            .map_err(|_| "PostgreSQL is missing: .ci/servers postgresql installs it")?
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .filter(|bin| bin.join("initdb").exists())
            .collect();
        versions.sort();
        let bin = versions.pop().ok_or("PostgreSQL has no initdb")?;
        let mut postgres = Self {
            folder: TempDir::new()?,
            bin,
            process: None,
            port: free_port()?,
        };
        // PostgreSQL refuses to run as root.
        fs::set_permissions(postgres.folder.path(), fs::Permissions::from_mode(0o777))?;
        let data = postgres.data();
        let initialised = postgres
            .command("initdb")
            .args(["--auth=trust", "--username=postgres", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()?;
        if !initialised.success() {
            return Err("initdb failed".into());
        }
        postgres.restart()?;
        Ok(postgres)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns a command of PostgreSQL, which runs as `postgres` if this is root.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        if geteuid().is_root() {
            let (user, group) = postgres_user().unwrap_or((65534, 65534));
            command.uid(user).gid(group);
        }
        command.current_dir(self.folder.path());
        command
    }

    /// Starts it, after it was stopped.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.stop();
        let (data, port) = (self.data(), self.port.to_string());
        let process = self
            .command("postgres")
            .args(["-p", &port, "-k", "", "-h", "127.0.0.1", "-D"])
            .arg(data)
            .args(["-c", "max_connections=200", "-c", "log_min_messages=fatal"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.process = Some(process);
        listens(self.port)
    }

    /// Stops it at once, as a crash does.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = kill_process(Pid::from_child(&process), Signal::QUIT);
            let _ = process.wait();
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Returns the URL of the database, on this port or on that of a proxy.
    pub(crate) fn url(port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the ids of the user `postgres` and of its group.
fn postgres_user() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Redis in a temporary folder, without persistence. It ends with its value.
pub(crate) struct Redis {
    folder: TempDir,
    process: Option<Child>,
    pub(crate) port: u16,
}

impl Redis {
    pub(crate) fn start() -> Result<Self> {
        let mut redis = Self {
            folder: TempDir::new()?,
            process: None,
            port: free_port()?,
        };
        redis.restart()?;
        Ok(redis)
    }

    /// Starts it, after it was stopped.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.stop();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|_| "redis-server is missing: .ci/servers redis installs it")?;
        self.process = Some(process);
        listens(self.port)
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Removes all its data.
    pub(crate) fn flush(&self) -> Result<()> {
        use std::io::{Read, Write};

        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(b"FLUSHALL\r\n")?;
        stream.read_exact(&mut [0; 5])?;
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the library that gives a process another clock.
pub(crate) fn faketime() -> Result<PathBuf> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu/faketime",
        "/usr/lib/aarch64-linux-gnu/faketime",
    ];
    let libraries = folders.map(|folder| Path::new(folder).join("libfaketimeMT.so.1"));
    let found = libraries.into_iter().find(|library| library.exists());
    Ok(found.ok_or("libfaketime is missing: .ci/servers faketime installs it")?)
}
