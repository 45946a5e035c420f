//! Failures to connect.

use super::{Runnable, host_names};
use crate::harness::{
    checks::{attempts, connections, timed_out, took},
    h2_frames,
    run::{End, Expected, NS, OK, RJ},
    script::{Step, http1},
    sockets::{Accept, CONNECT, Certificate, SocketRow},
    transport_kind::TransportKind,
};

pub(crate) const SECTION: &str = "Connecting";

pub(crate) fn rows(over: TransportKind) -> Vec<Runnable> {
    let success = || vec![Step::Request, Step::Respond, Step::Hang];
    let tls = |certificate| Accept::Tls(certificate, success());
    let mut rows = vec![
        https("TLS, success", tls(Certificate::Valid), (OK, 1), Some(1)),
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
        https(
            "silence during the handshake",
            Accept::Silent,
            (NS, 0),
            Some(3),
        )
        .also(timed_out(true))
        .also(took(3 * CONNECT..=16 * CONNECT)),
        https(
            "TLS, success over HTTP/2",
            Accept::TlsHttp2(vec![
                Step::Http2(&[]),
                Step::Request,
                Step::RespondOn(1),
                Step::Hang,
            ]),
            (OK, 1),
            Some(1),
        ),
        https(
            "421 retires the connection",
            Accept::Tls(
                Certificate::Valid,
                vec![
                    Step::Request,
                    Step::Write(http1(421, "", "")),
                    Step::Request,
                    Step::Respond,
                ],
            ),
            (RJ, 3),
            Some(3),
        ),
        https(
            "421 retires the connection, HTTP/2",
            Accept::TlsHttp2(vec![
                Step::Http2(&[]),
                Step::Request,
                Step::Write(h2_frames::response(1, 421, b"")),
                Step::Request,
                Step::RespondOn(3),
                Step::Hang,
            ]),
            (RJ, 3),
            Some(3),
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
            "plain HTTP, success",
            "127.0.0.1",
            Accept::Plain(success()),
            (OK, 1),
            Some(1),
        ),
        http(
            "plain HTTP, FIN directly after accept",
            "127.0.0.1",
            Accept::Fin,
            (End::Safe, 0),
            None,
        ),
        http(
            "plain HTTP, RST directly after accept",
            "127.0.0.1",
            Accept::Rst(0),
            (End::Safe, 0),
            None,
        ),
    ];
    // A create is not sent again if the peer may have read all of it.
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
            let (name, row) = (over.name(row.name), row.over(over));
            (SECTION, name, Box::new(move || row.check()) as _)
        })
        .collect();
    rows.push((
        SECTION,
        over.name("proxy variables are ignored"),
        Box::new(move || without_proxy(over)),
    ));
    rows.extend(host_names::rows(over));
    rows
}

/// Runs a successful row in a process with an environment that names a proxy that does not listen.
fn without_proxy(over: TransportKind) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = std::process::Command::new(program);
    let row = over.name("Connecting: plain HTTP, success");
    command.args(["--exact", &row]);
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
    let output = String::from_utf8_lossy(&ran.stdout);
    if ran.status.success() && output.contains("1 passed") {
        Ok(())
    } else {
        Err(output.into_owned())
    }
}

pub(crate) fn https(
    name: &'static str,
    accept: Accept,
    expected: Expected,
    count: Option<u32>,
) -> SocketRow {
    SocketRow {
        scheme: "https",
        ..http(name, "localhost", accept, expected, count)
    }
}

fn http(
    name: &'static str,
    host: &'static str,
    accept: Accept,
    expected: Expected,
    count: Option<u32>,
) -> SocketRow {
    SocketRow {
        name,
        over: TransportKind::default(),
        scheme: "http",
        host,
        accept,
        expected,
        also: count.map(connections).into_iter().collect(),
    }
}
