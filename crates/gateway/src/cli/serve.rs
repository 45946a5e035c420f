//! Serves until a signal, and ends in order.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use clerk_actor_tokens_gateway::{
    Config, Gateway, Metrics, OpenError,
    serve::{ServeOptions, ServerTls, middleware, serve},
};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Failure;

/// The connections at once to `/livez`, `/readyz` and `/metrics`.
const MAX_OPS_CONNECTIONS: usize = 64;
/// The time for their requests in flight, after everything else has ended.
const OPS_GRACE: Duration = Duration::from_secs(1);
/// The time between two log lines about the end.
const PROGRESS: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct ServeArgs {
    /// The configuration; without one, a demo is served
    #[arg(long, value_name = "FILE", env = "GATEWAY_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Listen on this port in place of the configured one; 0 is any free port
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// Keep the demo's keys, configuration and audit here; without it they are removed at exit
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(super) data: Option<PathBuf>,
}

/// Serves with the configuration of a file.
pub(super) async fn run(path: &Path, port: Option<u16>) -> Result<ExitCode, Failure> {
    let config = read(path, port)?;
    let scheme = match config.server.tls {
        Some(_) => "https",
        None => "http",
    };
    let started = |addresses: Addresses| {
        let Addresses { listen, ops } = addresses;
        writeln!(
            io::stdout(),
            "gateway {scheme}://{listen}\nops http://{ops}"
        )
    };
    until_stopped(config, Some((path, port)), started).await
}

/// The addresses of a gateway that listens.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) listen: SocketAddr,
    pub(super) ops: SocketAddr,
}

fn read(path: &Path, port: Option<u16>) -> Result<Config, Failure> {
    let mut config = Config::read(path).map_err(Failure::invalid)?;
    if let Some(port) = port {
        config.server.listen.set_port(port);
    }
    Ok(config)
}

/// Serves until SIGTERM or SIGINT. `file` is where SIGHUP reads the configuration, and the port in place of
/// the configured one.
pub(super) async fn until_stopped(
    config: Config,
    file: Option<(&Path, Option<u16>)>,
    started: impl FnOnce(Addresses) -> io::Result<()>,
) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new()?;
    for warning in config.warnings() {
        warn!("{warning}");
    }
    // Everything that can fail for good fails before the database is opened.
    let options = ServeOptions::new(&config.server).map_err(Failure::invalid)?;
    let listener = bind("server.listen", config.server.listen).await?;
    let ops_listener = bind("server.ops_listen", config.server.ops_listen).await?;
    // Before the database, so that it measures the start as well.
    let metrics = Metrics::install().map_err(Failure::failed)?;
    let gateway = Gateway::open(config.clone())
        .await
        .map_err(|error| match error {
            OpenError::Storage(_) | OpenError::Sink(_) | OpenError::Spool(_) => {
                Failure::failed(error)
            }
            _ => Failure::invalid(error),
        })?;
    let addresses = Addresses {
        listen: listener.local_addr()?,
        ops: ops_listener.local_addr()?,
    };
    let (stop, stop_ops) = (CancellationToken::new(), CancellationToken::new());
    let tls = options.tls.clone();
    let router = middleware(gateway.app(), config.server.body_timeout);
    let callers = serve(listener, router, options, stop.clone().cancelled_owned());
    let callers = tokio::spawn(callers);
    let mut ops_options = ServeOptions::default();
    ops_options.plain_beyond_loopback = true;
    ops_options.max_connections = MAX_OPS_CONNECTIONS;
    ops_options.grace = OPS_GRACE;
    let router = gateway.ops_router(Some(metrics));
    let router = middleware(router, config.server.body_timeout);
    let ops = serve(
        ops_listener,
        router,
        ops_options,
        stop_ops.clone().cancelled_owned(),
    );
    let ops = tokio::spawn(ops);
    info!(listen = %addresses.listen, ops = %addresses.ops, policy = config.policy.version(), "serving");
    if let Err(error) = started(addresses) {
        warn!(%error, "could not print the addresses");
    }

    let mut other_policy = gateway.other_policy();
    let signal = loop {
        // The version that the file must have, if another gateway loaded it.
        let version = tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop(name) => break name,
                Signal::Reload => None,
            },
            Ok(()) = other_policy.changed() => match other_policy.borrow_and_update().clone() {
                Some(version) => Some(version),
                None => continue,
            },
        };
        match file {
            Some(file) => reload(&gateway, tls.as_ref(), &config, file, version).await,
            None => info!("a demo has no configuration to read again"),
        }
    };
    info!(signal, "stopping: new calls are refused");
    gateway.stop_creates();
    stop.cancel();
    let ending = async {
        let served = callers.await.map_err(io::Error::other)??;
        info!("no request is in flight");
        let shutdown = gateway.shutdown(config.server.drain);
        let shutdown = with_progress(shutdown, "waiting for lost tokens and leases").await;
        io::Result::Ok(served.cut == 0 && shutdown.is_complete)
    };
    let is_complete = tokio::select! {
        ended = ending => ended?,
        name = signals.stop() => {
            error!(signal = name, "stopped at once: the next process finds in the audit what is left");
            return Ok(ExitCode::FAILURE);
        }
    };
    stop_ops.cancel();
    ops.await.map_err(io::Error::other)??;
    match is_complete {
        true => {
            info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        false => {
            warn!("stopped, but not everything was settled");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Logs this line while the future takes long.
async fn with_progress<F: Future>(future: F, line: &'static str) -> F::Output {
    let mut future = pin!(future);
    loop {
        match timeout(PROGRESS, future.as_mut()).await {
            Ok(output) => return output,
            Err(_) => info!("{line}"),
        }
    }
}

async fn bind(field: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        let why = format!("{field}: could not listen on {address}: {error}");
        Failure::failed(match error.kind() {
            io::ErrorKind::AddrInUse => why + "; choose another port, such as by --port",
            _ => why,
        })
    })
}

/// Puts a new configuration in place, or keeps the old one and logs why. `version` is the only policy that is
/// accepted, if another gateway loaded it: gateways with different files would reload each other without end.
async fn reload(
    gateway: &Gateway,
    tls: Option<&ServerTls>,
    old: &Config,
    (path, port): (&Path, Option<u16>),
    version: Option<String>,
) {
    let replaced = async {
        let config = read(path, port)?;
        let found = config.policy.version();
        if let Some(version) = version.filter(|version| version != found) {
            return Err(Failure::invalid(format!(
                "another gateway loaded the policy {version}, and the file has {found}: deploy the file, then send SIGHUP"
            )));
        }
        let new_tls = config.server.tls.as_ref().map(ServerTls::read);
        let new_tls = new_tls.transpose().map_err(Failure::invalid)?;
        gateway.reload(&config).await.map_err(Failure::failed)?;
        if let (Some(tls), Some(new)) = (tls, new_tls) {
            tls.replace(&new);
        }
        Ok::<_, Failure>(config)
    };
    match replaced.await {
        Ok(config) => {
            info!(
                policy = config.policy.version(),
                "read the configuration again"
            );
            for warning in config.warnings() {
                warn!("{warning}");
            }
            for section in unchanged(old, &config) {
                warn!("[{section}] has changed, which needs a restart");
            }
        }
        Err(failure) => error!("kept the old configuration: {failure}"),
    }
}

/// Returns the sections that differ, but are not replaced while the gateway serves.
fn unchanged(old: &Config, new: &Config) -> impl Iterator<Item = &'static str> {
    let server = |config: &Config| {
        let mut server = config.server.clone();
        let has_tls = server.tls.take().is_some();
        (server, has_tls)
    };
    let clerk = |config: &Config| {
        let mut clerk = config.clerk.clone();
        clerk.secret_key.clone_from(&old.clerk.secret_key);
        clerk
    };
    let sections = [
        ("server", server(old) != server(new)),
        ("clerk", clerk(old) != clerk(new)),
        ("storage", old.storage != new.storage),
        ("redis", old.redis != new.redis),
        ("limits", old.limits != new.limits),
        ("quota", old.quota != new.quota),
        ("leases", old.leases != new.leases),
    ];
    let changed = sections.into_iter().filter(|(_, is_changed)| *is_changed);
    changed.map(|(section, _)| section)
}

enum Signal {
    Stop(&'static str),
    Reload,
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Stop("Ctrl-C"),
            Err(_) => std::future::pending().await,
        }
    }
}

impl Signals {
    async fn stop(&mut self) -> &'static str {
        loop {
            if let Signal::Stop(name) = self.next().await {
                return name;
            }
        }
    }
}
