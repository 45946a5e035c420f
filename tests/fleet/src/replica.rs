//! [`Fleet`], the gateways and their processes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::{Client, RetryConfig, SecretKey};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    fs::File,
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    Result,
    clerk::Clerk,
    proxy::Proxy,
    servers::{self, Postgres},
};

/// The key of callers.
const WIRE_KEY: &str = "sk_test_q8Zt3vN0cXwL5rYd";

/// How far the clock of the last gateway is ahead.
const SKEW: &str = "+20s";

/// The size of the largest file of the second gateway, in blocks of 512 bytes: its spool is full at once.
const FILE_BLOCKS: u32 = 16;

/// How often a supervisor starts a gateway.
const STARTS: usize = 20;

/// The lifetime of a token in seconds.
const LIFETIME: u32 = 60;

/// The units of an actor: so many at once, and so many in ten seconds.
pub(crate) const BURST: u64 = 40;
pub(crate) const IN_TEN_SECONDS: u64 = 100;

/// When gateways changed between Redis and local limits.
type Changes = Arc<Mutex<Vec<SystemTime>>>;

/// The gateways.
pub(crate) struct Fleet {
    folder: TempDir,
    program: PathBuf,
    key: String,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) kills: AtomicU64,
    changes: Changes,
}

/// One gateway.
pub(crate) struct Replica {
    number: usize,
    pub(crate) postgres: Proxy,
    pub(crate) redis: Proxy,
    has_skew: bool,
    log: Option<PathBuf>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    process: Option<Child>,
    client: Option<Client>,
    is_stopped: bool,
}

impl Fleet {
    pub(crate) async fn start(
        program: &Path,
        count: usize,
        clerk: &Clerk,
        [postgres, redis]: [u16; 2],
        has_skew: bool,
        logs: Option<&Path>,
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut replicas = Vec::new();
        for number in 0..count {
            let replica = Replica {
                number,
                postgres: Proxy::start(postgres).await?,
                redis: Proxy::start(redis).await?,
                has_skew: has_skew && number + 1 == count && count > 1,
                log: logs.map(|folder| folder.join(format!("replica-{number}.log"))),
                running: Mutex::default(),
            };
            let config = config(&replica, &clerk.url(number), folder.path(), count);
            fs::write(folder.path().join(format!("{number}.toml")), config)?;
            replicas.push(replica);
        }
        let fleet = Self {
            folder,
            program: program.to_owned(),
            key: clerk.sandbox.secret_key().expose().to_owned(),
            replicas,
            kills: AtomicU64::new(0),
            changes: Changes::default(),
        };
        for replica in &fleet.replicas {
            fleet.run(replica).await?;
        }
        Ok(fleet)
    }

    /// Starts the process of a gateway, again while it ends, as a supervisor does. PostgreSQL may be starting, too.
    pub(crate) async fn run(&self, replica: &Replica) -> Result<()> {
        for _ in 1..STARTS {
            match self.run_once(replica).await {
                Ok(()) => return Ok(()),
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
        self.run_once(replica).await
    }

    /// Starts the process of a gateway, and returns once it listens.
    async fn run_once(&self, replica: &Replica) -> Result<()> {
        let config = self.folder.path().join(format!("{}.toml", replica.number));
        let mut command = match replica.number {
            // A signal that is ignored stays ignored in the program, and a write to the full spool fails.
            1 => {
                let mut shell = Command::new("sh");
                let script = format!("trap '' XFSZ; ulimit -f {FILE_BLOCKS}; exec \"$0\" \"$@\"");
                shell.arg("-c").arg(script).arg(&self.program);
                shell
            }
            _ => Command::new(&self.program),
        };
        command.args(["serve", "--config"]).arg(config);
        if replica.has_skew {
            command.env("LD_PRELOAD", servers::faketime()?);
            command
                .env("FAKETIME", SKEW)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let mut process = command
            .env("CLERK_SECRET_KEY", &self.key)
            .env("DESK_KEY", WIRE_KEY)
            .env("POSTGRES_URL", Postgres::url(replica.postgres.port))
            .env(
                "REDIS_URL",
                format!("redis://127.0.0.1:{}/", replica.redis.port),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = process.stderr.take().ok_or("no log")?;
        tokio::spawn(keep(stderr, replica.log.clone(), Arc::clone(&self.changes)));
        let stdout = process.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = line.strip_prefix("gateway ") {
                    return Ok(address.trim().to_owned());
                }
            }
            Err::<_, Box<dyn std::error::Error + Send + Sync>>(
                format!("gateway {} did not start", replica.number).into(),
            )
        };
        let address = timeout(Duration::from_secs(60), address).await??;
        // Read on, so that the gateway never waits for this program.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = Client::builder(SecretKey::new(WIRE_KEY)?)
            .base_url(format!("{address}/v1"))
            .retry(RetryConfig::disabled())
            .build()?;
        *replica.running() = Running {
            process: Some(process),
            client: Some(client),
            is_stopped: false,
        };
        Ok(())
    }

    /// Returns when gateways changed between Redis and local limits.
    pub(crate) fn changes(&self) -> Vec<SystemTime> {
        let changes = self.changes.lock();
        changes.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills the process of a gateway.
    pub(crate) async fn kill(&self, replica: &Replica) -> Result<()> {
        let running = std::mem::take(&mut *replica.running());
        if let Some(mut process) = running.process {
            process.kill().await?;
            self.kills.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns the clients of the gateways that run and are not stopped, as a load balancer would choose.
    pub(crate) fn clients(&self) -> Vec<Client> {
        let clients = self.replicas.iter().filter_map(|replica| {
            let running = replica.running();
            running.client.clone().filter(|_| !running.is_stopped)
        });
        clients.collect()
    }

    /// Stops all gateways as a supervisor does. Returns how many said that nothing was left.
    pub(crate) async fn stop(&self) -> usize {
        let mut complete = 0;
        for replica in &self.replicas {
            replica.signal(Signal::TERM);
        }
        for replica in &self.replicas {
            let running = std::mem::take(&mut *replica.running());
            let Some(mut process) = running.process else {
                continue;
            };
            let ended = timeout(Duration::from_secs(120), process.wait()).await;
            complete +=
                usize::from(ended.is_ok_and(|ended| ended.is_ok_and(|status| status.success())));
        }
        complete
    }
}

impl Replica {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a signal to the process, if it runs.
    fn signal(&self, signal: Signal) {
        let running = self.running();
        let id = running.process.as_ref().and_then(Child::id);
        if let Some(id) = id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            let _ = kill_process(id, signal);
        }
    }

    /// Stops the process without notice.
    pub(crate) fn pause(&self) {
        self.running().is_stopped = true;
        self.signal(Signal::STOP);
    }

    /// Lets a stopped process go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
        self.running().is_stopped = false;
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running().process.is_some()
    }
}

/// Reads the log of a process, and appends it to a file. The process itself may not be able to write files.
async fn keep(
    log: impl AsyncRead + Unpin,
    path: Option<PathBuf>,
    changes: Changes,
) -> std::io::Result<()> {
    let path = path.unwrap_or_else(|| "/dev/null".into());
    let mut file = File::options().create(true).append(true).open(path).await?;
    let mut lines = BufReader::new(log).lines();
    while let Some(line) = lines.next_line().await? {
        if line.contains("limits are local") || line.contains("limits are shared") {
            let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
            changes.push(SystemTime::now());
        }
        file.write_all(format!("{line}\n").as_bytes()).await?;
    }
    Ok(())
}

fn config(replica: &Replica, clerk: &str, folder: &Path, replicas: usize) -> String {
    let (number, spool) = (
        replica.number,
        folder.join(format!("{}.spool", replica.number)),
    );
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"
drain = 30

[clerk]
api_url = "{clerk}"
secret_key = {{ env = "CLERK_SECRET_KEY" }}
issuer = "replica-{number}"
call_timeout = 5

[storage]
postgres = {{ url = {{ env = "POSTGRES_URL" }} }}
spool = "{spool}"
spool_ends = true

[redis]
url = {{ env = "REDIS_URL" }}
replicas = {replicas}

[[limits]]
by = "actor"
calls = {IN_TEN_SECONDS}
per = 10
burst = {BURST}

[policy]
version = "fleet"
lifetime = {{ default = {LIFETIME}, longest = {LIFETIME} }}
session = {{ default = 60, longest = 60 }}

[policy.keys]
desk = ["user_*"]

[keys]
desk = [{{ env = "DESK_KEY" }}]
"#,
        spool = spool.display(),
    )
}
