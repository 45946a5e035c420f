//! What can go wrong before there is a connection.

use super::Runnable;
use crate::harness::{
    row::{End, NS, OK, Want},
    script::Step,
    sockets::{Accept, Certificate, SocketRow},
};

pub(crate) fn rows() -> Vec<Runnable> {
    let answer = || vec![Step::Request, Step::Answer, Step::Hang];
    let tls = |certificate| Accept::Tls(certificate, answer());
    [
        https("TLS, all well", tls(Certificate::Good), (OK, 1), Some(1)),
        https("FIN directly after accept", Accept::Fin, (NS, 0), Some(3)),
        https("RST directly after accept", Accept::Rst, (NS, 0), Some(3)),
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
            Accept::Rst,
            (End::Safe, 0),
            None,
        ),
        SocketRow {
            // A label of 70 characters never leaves the machine's own resolver.
            host: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid",
            ..https("DNS failure", Accept::Fin, (NS, 0), Some(0))
        },
    ]
    .into_iter()
    .map(|row| {
        (
            "Connecting",
            row.name.to_owned(),
            Box::new(move || row.check()) as _,
        )
    })
    .collect()
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
