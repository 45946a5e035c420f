//! What can go wrong before there is a connection.

use std::{
    future::ready,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use hyper_util::{
    client::legacy::{
        self,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use tokio::net::{TcpListener, TcpSocket};

use super::Runnable;
use crate::harness::{
    caller::Caller,
    checks::{attempts, connections, timed_out, took},
    row::paused,
    run::{End, NS, OK, Run, Want},
    script::{Op, Seen, Step, play},
    settling::{Log, Split},
    sockets::{Accept, CONNECT, Certificate, SocketRow},
};

const SECTION: &str = "Connecting";

pub(crate) fn rows() -> Vec<Runnable> {
    let answer = || vec![Step::Request, Step::Answer, Step::Hang];
    let tls = |certificate| Accept::Tls(certificate, answer());
    let mut rows = vec![
        https("TLS, all well", tls(Certificate::Good), (OK, 1), Some(1)),
        https("refused", Accept::Refuse, (NS, 0), Some(0)).also(attempts(3)),
        https("FIN directly after accept", Accept::Fin, (NS, 0), Some(3)),
        https(
            "RST directly after accept",
            Accept::Rst(0),
            (NS, 0),
            Some(3),
        ),
        https(
            "FIN during the handshake",
            Accept::FinInHandshake,
            (NS, 0),
            Some(3),
        ),
        https("TLS silent", Accept::Silent, (NS, 0), Some(3))
            .also(timed_out(true))
            .also(took(3 * CONNECT..=9 * CONNECT)),
        https(
            "TLS, all well, by HTTP/2",
            Accept::TlsHttp2(vec![
                Step::Http2(&[]),
                Step::Request,
                Step::AnswerStream(1),
                Step::Hang,
            ]),
            (OK, 1),
            Some(1),
        ),
        https("wrong name", tls(Certificate::WrongName), (NS, 0), Some(1)),
        https("expired", tls(Certificate::Expired), (NS, 0), Some(1)),
        https(
            "unknown root",
            tls(Certificate::UnknownRoot),
            (NS, 0),
            Some(1),
        ),
        https(
            "self-signed",
            tls(Certificate::SelfSigned),
            (NS, 0),
            Some(1),
        ),
        https(
            "plain HTTP on the TLS port",
            Accept::Plain(vec![Step::Write(
                b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            )]),
            (NS, 0),
            Some(1),
        ),
        http(
            "plain, all well",
            "127.0.0.1",
            Accept::Plain(answer()),
            (OK, 1),
            Some(1),
        ),
        http(
            "plain, FIN directly after accept",
            "127.0.0.1",
            Accept::Fin,
            (End::Safe, 0),
            None,
        ),
        http(
            "plain, RST directly after accept",
            "127.0.0.1",
            Accept::Rst(0),
            (End::Safe, 0),
            None,
        ),
    ];
    // Whatever was read of it, a create is not sent again once it may have been read whole.
    for (name, bytes) in [
        ("RST after 1 byte of the request", 1),
        ("RST after 100 bytes of the request", 100),
        ("RST after 200 bytes of the request", 200),
    ] {
        rows.push(http(
            name,
            "127.0.0.1",
            Accept::Rst(bytes),
            (End::Safe, 0),
            None,
        ));
    }
    let mut rows: Vec<Runnable> = rows
        .into_iter()
        .map(|row| {
            (
                SECTION,
                row.name.to_owned(),
                Box::new(move || row.check()) as _,
            )
        })
        .collect();
    let others: [(&str, fn() -> Result<(), String>); 4] = [
        ("DNS failure", without_name),
        ("DNS hangs", without_end),
        ("the first address is dead", second_address),
        ("proxy variables are ignored", without_proxy),
    ];
    for (name, check) in others {
        rows.push((SECTION, name.into(), Box::new(check)));
    }
    rows
}

/// Runs a row that goes well in a process whose environment names proxies that nobody serves.
fn without_proxy() -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = std::process::Command::new(program);
    command.args(["--exact", "Connecting: plain, all well"]);
    for variable in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env(variable, "http://127.0.0.1:1");
    }
    let ran = command
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output();
    let ran = ran.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&ran.stdout);
    if ran.status.success() && said.contains("1 passed") {
        Ok(())
    } else {
        Err(said.into_owned())
    }
}

fn https(name: &'static str, accept: Accept, want: Want, count: Option<u32>) -> SocketRow {
    SocketRow {
        name,
        scheme: "https",
        host: "localhost",
        accept,
        want,
        also: count.map(connections).into_iter().collect(),
    }
}

fn http(
    name: &'static str,
    host: &'static str,
    accept: Accept,
    want: Want,
    count: Option<u32>,
) -> SocketRow {
    SocketRow {
        name,
        scheme: "http",
        host,
        accept,
        want,
        also: count.map(connections).into_iter().collect(),
    }
}

/// Runs something over plain HTTP to addresses of its own choice, for each operation.
fn resolving<F, S>(op: Op, resolve: F) -> (Split, Arc<Log>)
where
    F: FnMut(Name) -> S + Clone + Send + Sync + 'static,
    S: Future<Output = io::Result<std::vec::IntoIter<SocketAddr>>> + Send + 'static,
{
    let connector = HttpConnector::new_with_resolver(tower::service_fn(resolve));
    Split::new(
        op,
        legacy::Client::builder(TokioExecutor::new()).build(connector),
    )
}

fn to_localhost() -> Caller {
    Caller {
        base_url: "http://localhost".into(),
        ..Caller::default()
    }
}

/// A name that does not resolve is looked up for every attempt.
fn without_name() -> Result<(), String> {
    for op in [Op::Create, Op::Revoke] {
        let looked_up = Arc::<AtomicU32>::default();
        let count = Arc::clone(&looked_up);
        let split = resolving(op, move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            ready(Err(io::Error::other("no such name")))
        });
        let run = paused(to_localhost().run(op, split, Arc::default()))?;
        run.judge((NS, 0))
            .and_then(|()| attempts(3)(&run))
            .map_err(|why| format!("{op:?}: {why}"))?;
        let looked_up = looked_up.load(Ordering::SeqCst);
        if looked_up != 3 {
            return Err(format!("{op:?}: looked up {looked_up} times"));
        }
    }
    Ok(())
}

/// Names are looked up by the system, on a thread of the runtime; it has but one, which somebody
/// else occupies.
fn without_end() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .map_err(|error| error.to_string())?;
    let well = || {
        let script = vec![Step::Request, Step::Answer, Step::Hang];
        Accept::Tls(Certificate::Good, script)
    };
    let (release, occupied) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || occupied.recv());
    let hangs = https("DNS hangs", well(), (NS, 0), Some(0))
        .also(timed_out(true))
        .also(attempts(3))
        .also(took(3 * CONNECT..=9 * CONNECT))
        .check_on(&runtime);
    drop(release);
    hangs?;
    // It was nothing but the lookup.
    https("DNS answers", well(), (OK, 1), Some(1)).check_on(&runtime)
}

/// Nobody listens at the first address of a name.
fn second_address() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    for op in [Op::Create, Op::Revoke] {
        let run = runtime.block_on(to_second_address(op));
        let run = run.map_err(|error| error.to_string())?;
        run.judge((OK, 1))
            .and_then(|()| connections(1)(&run))
            .map_err(|why| format!("{op:?}: {why}"))?;
    }
    Ok(())
}

async fn to_second_address(op: Op) -> io::Result<Run> {
    // Bound, so that nobody else gets the port, and never listening.
    let dead = TcpSocket::new_v4()?;
    dead.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let alive = TcpListener::bind("127.0.0.1:0").await?;
    let addresses = vec![dead.local_addr()?, alive.local_addr()?];
    let seen = Arc::<Seen>::default();
    let peer = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = alive.accept().await {
            peer.connections.fetch_add(1, Ordering::SeqCst);
            play(
                stream,
                &[Step::Request, Step::Answer, Step::Hang],
                op,
                &peer,
            )
            .await;
        }
    });
    let split = resolving(op, move |_| ready(Ok(addresses.clone().into_iter())));
    let run = to_localhost().run(op, split, seen).await;
    drop(dead);
    Ok(run)
}
