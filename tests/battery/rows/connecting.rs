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

use clerk_actor_tokens::ClientBuilder;
use hyper_util::{
    client::legacy::{
        self,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};

use super::Runnable;
use crate::harness::{
    row::{End, NS, OK, Want, call, judge, key},
    script::{Op, Step},
    sockets::{Accept, Certificate, SocketRow},
};

pub(crate) fn rows() -> Vec<Runnable> {
    let answer = || vec![Step::Request, Step::Answer, Step::Hang];
    let tls = |certificate| Accept::Tls(certificate, answer());
    let mut rows = vec![
        https("TLS, all well", tls(Certificate::Good), (OK, 1), Some(1)),
        https("refused", Accept::Refuse, (NS, 0), Some(0)),
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
        https("TLS silent", Accept::Silent, (NS, 0), Some(3)),
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
            "one of two addresses is dead",
            "localhost",
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
                "Connecting",
                row.name.to_owned(),
                Box::new(move || row.check()) as _,
            )
        })
        .collect();
    rows.push(("Connecting", "DNS failure".into(), Box::new(without_name)));
    rows.push((
        "Connecting",
        "proxy variables are ignored".into(),
        Box::new(without_proxy),
    ));
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

fn https(name: &'static str, accept: Accept, want: Want, connections: Option<u32>) -> SocketRow {
    SocketRow {
        name,
        scheme: "https",
        host: "localhost",
        accept,
        want,
        connections,
    }
}

fn http(
    name: &'static str,
    host: &'static str,
    accept: Accept,
    want: Want,
    connections: Option<u32>,
) -> SocketRow {
    SocketRow {
        name,
        scheme: "http",
        host,
        accept,
        want,
        connections,
    }
}

/// A name that does not resolve is looked up for every attempt.
fn without_name() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    for op in [Op::Create, Op::Revoke] {
        let looked_up = Arc::<AtomicU32>::default();
        let count = Arc::clone(&looked_up);
        let resolver = tower::service_fn(move |_: Name| {
            count.fetch_add(1, Ordering::SeqCst);
            ready(Err::<std::vec::IntoIter<SocketAddr>, _>(io::Error::other(
                "no such name",
            )))
        });
        let connector = HttpConnector::new_with_resolver(resolver);
        let transport = legacy::Client::builder(TokioExecutor::new()).build(connector);
        let base = "http://localhost".parse().unwrap();
        let client = ClientBuilder::over(key(), transport)
            .base_url(base)
            .build()
            .unwrap();
        let result = runtime.block_on(call(&client, op));
        judge(op, (NS, 0), &result, 0)?;
        let looked_up = looked_up.load(Ordering::SeqCst);
        if looked_up != 3 {
            return Err(format!("{op:?}: looked up {looked_up} times"));
        }
    }
    Ok(())
}
