//! A gateway: Clerk's wire protocol on a local port, with its own key, a guard and a limit in one place.
//!
//! ```text
//! cargo run --example gateway                   serves two requests of its own, then ends
//! cargo run --example gateway -- --port 4020    serves until it is interrupted
//! ```
//!
//! The sandbox stands in for Clerk. Any Clerk SDK can be the client, with the gateway's address and key.
//! The key is the value of `GATEWAY_KEY`, else a new one that is printed.

use std::{env, error::Error, fmt::Write, io, pin::pin, time::Duration};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, BaseUrl, ClerkError, ClerkErrors, Client, ClientBuilder, ConfigError,
    CreateActorToken, Error as CallError, SecretKey,
    sandbox::Sandbox,
    server::{ActorTokensApi, Inbound},
};
use http::{HeaderName, HeaderValue, StatusCode};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    signal::ctrl_c,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{
    ServiceBuilder, filter::FilterLayer, limit::ConcurrencyLimitLayer, load_shed::LoadShedLayer,
};
use tower_http::timeout::RequestBodyDeadlineLayer;

const OPERATOR: HeaderName = HeaderName::from_static("x-operator");

/// The most calls at once. A further one is refused, because waiting here has no timeout.
pub(crate) const CALLS: usize = 64;
/// The most connections at once. Further ones wait in the queue of the operating system.
pub(crate) const CONNECTIONS: usize = 256;
/// The time for the head of a request. It also limits how long a connection may be idle, so it is longer
/// than the 90 s after which common clients close an idle connection themselves.
const HEAD: Duration = Duration::from_secs(100);
/// The time for the body of a request.
const BODY: Duration = Duration::from_secs(10);
/// The time for the requests in flight once the gateway stops. Longer than the 10 s of an attempt, so that
/// most callers get their response.
const GRACE: Duration = Duration::from_secs(15);
/// The backoff after a connection could not be accepted.
const BACKOFF: Duration = Duration::from_millis(100);

/// Refuses requests that do not name their operator. The caller receives this error as it is. Any other
/// type of error would become a 503.
fn named(request: ActorTokenRequest) -> Result<ActorTokenRequest, CallError> {
    let inbound = request.extensions().get::<Inbound>();
    match inbound.and_then(|it| it.headers().get(OPERATOR)) {
        Some(operator) => {
            println!("gateway  request of {operator:?}");
            Ok(request)
        }
        None => {
            println!("gateway  request without an operator");
            let why = ClerkError::new("operator_missing", "no operator", "Set x-operator.");
            Err(CallError::api(StatusCode::FORBIDDEN, ClerkErrors::new(why)))
        }
    }
}

/// Against Clerk, this would begin with `ClientBuilder::from_env()?`.
pub(crate) fn client(sandbox: &Sandbox) -> Result<Client, ConfigError> {
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(FilterLayer::new(named))
        // Directly above the limit that it watches.
        .call_layer(LoadShedLayer::new())
        .call_layer(ConcurrencyLimitLayer::new(CALLS))
        .build()
}

/// Serves until `stop` completes, and returns its output. Before that, it stops accepting connections and
/// lets the requests in flight finish. Then none of its connections is left, so that nothing is minted.
///
/// HTTP/1.1 only: detecting the version would have no timeout, and HTTP/2 streams are tasks that
/// outlive their connection.
///
/// # Errors
///
/// When the listener is not on loopback. Keys and credentials are sent in the clear here, so a proxy in
/// front terminates TLS.
pub(crate) async fn serve<F: Future>(
    listener: TcpListener,
    api: ActorTokensApi<Client>,
    stop: F,
) -> io::Result<F::Output> {
    if !listener.local_addr()?.ip().is_loopback() {
        return Err(io::Error::other("plain HTTP is for loopback only"));
    }
    let layers = ServiceBuilder::new().layer(RequestBodyDeadlineLayer::new(BODY));
    let service = TowerToHyperService::new(layers.service(api));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    let output = loop {
        let accepted = tokio::select! {
            output = &mut stop => break output,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = http.serve_connection(TokioIo::new(stream), service.clone());
                connections.spawn(graceful.watch(connection));
            }
            // For example without free file descriptors, which other connections may free.
            Err(error) => {
                println!("gateway  could not accept a connection: {error}");
                sleep(BACKOFF).await;
            }
        }
    };
    drop(listener);
    // Idle connections are closed now, the others after their response.
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        println!("gateway  some requests did not finish");
    }
    connections.shutdown().await;
    Ok(output)
}

/// Returns the gateway's own key.
fn key() -> Result<SecretKey, Box<dyn Error>> {
    if let Some(key) = env::var("GATEWAY_KEY").ok().filter(|key| !key.is_empty()) {
        return Ok(SecretKey::new(key)?);
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let mut key = String::from("sk_test_");
    for byte in bytes {
        write!(key, "{byte:02x}")?;
    }
    println!("gateway  key {key}");
    Ok(SecretKey::new(key)?)
}

/// Sends two requests: one with an operator, and one without, which is refused before anything is sent
/// to Clerk.
async fn send_two(base_url: BaseUrl, key: SecretKey) -> Result<(), Box<dyn Error>> {
    let desk = Client::builder(key).base_url(base_url).build()?;
    let create = || CreateActorToken::new("user_subject", Actor::new("user_admin"));
    let operator = HeaderValue::from_static("jo");
    let request = ActorTokenRequest::create(create()).header(OPERATOR, operator);
    let token = desk.send(request).await?;
    let has_link = token.expose_url().is_some();
    println!("desk     minted {}, a link: {has_link}", token.id());

    match desk.create(create()).await {
        Err(refused) => println!("desk     {}: {refused}", refused.outcome()),
        Ok(_) => return Err("a request without an operator was not refused".into()),
    }
    Ok(())
}

/// Returns the value of `--port`.
fn port(mut args: impl Iterator<Item = String>) -> Result<Option<u16>, Box<dyn Error>> {
    match (args.next().as_deref(), args.next(), args.next()) {
        (None, _, _) => Ok(None),
        (Some("--port"), Some(port), None) => Ok(Some(port.parse()?)),
        _ => Err("usage: gateway [--port PORT]".into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let port = port(env::args().skip(1))?;
    let sandbox = Sandbox::new();
    let client = client(&sandbox)?;
    let key = key()?;
    let api = ActorTokensApi::new(client.clone(), key.clone())?;
    let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(0))).await?;
    let base_url = format!("http://{}/v1", listener.local_addr()?).parse()?;
    println!("gateway  at {base_url}");
    let stop = async {
        match port {
            // Where a supervisor sends SIGTERM, wait for that as well.
            Some(_) => Ok(ctrl_c().await?),
            None => send_two(base_url, key).await,
        }
    };
    let stopped = serve(listener, api, stop).await?;

    // No call is in flight any more. Now the tokens that their callers did not get are revoked.
    let settled = client.drain(Duration::from_secs(5)).await;
    println!("gateway  settled: {:?}", settled.counts());
    stopped
}
