//! The cost of a call over loopback, compared with hyper-util, reqwest, clerk-rs and Clerk's Python SDK.
//!
//! The server runs in its own process and responds to every create with the same bytes.

mod bare;
mod hand_written;
mod over_reqwest;
mod peer;
mod processor;
mod round;
mod rounds;
#[allow(dead_code, reason = "the other package uses the rest")]
#[path = "../../in_memory/src/samples.rs"]
mod samples;
mod server;

use std::{fmt, str::FromStr};

use self::samples::{ADMIN_ID, LIFE_SECONDS, MINTED, SECRET_KEY, USER_ID};
pub use self::{
    peer::{FLOORS, PEERS, Peer, PeerKind},
    processor::Processor,
    round::Round,
    rounds::{Rounds, run_rounds},
    server::serve,
};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http1Tls,
    Http2Tls,
}

pub const PROTOCOLS: [Protocol; 3] = [Protocol::Http1, Protocol::Http1Tls, Protocol::Http2Tls];

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http1Tls => "HTTP/1.1+TLS",
            Self::Http2Tls => "HTTP/2+TLS",
        })
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = PROTOCOLS.into_iter().find(|it| it.to_string() == text);
        found.ok_or_else(|| format!("unknown protocol {text}").into())
    }
}

/// The ports and the certificate of the server. Passed between processes as text.
#[derive(Clone, Debug)]
pub struct Endpoints {
    ports: [u16; 3],
    certificate: Vec<u8>,
}

impl Endpoints {
    fn base_url(&self, protocol: Protocol) -> String {
        let [http1, http1_tls, http2_tls] = self.ports;
        match protocol {
            Protocol::Http1 => format!("http://127.0.0.1:{http1}/v1"),
            Protocol::Http1Tls => format!("https://127.0.0.1:{http1_tls}/v1"),
            Protocol::Http2Tls => format!("https://127.0.0.1:{http2_tls}/v1"),
        }
    }

    fn certificate_hex(&self) -> String {
        self.certificate
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for port in self.ports {
            write!(f, "{port},")?;
        }
        f.write_str(&self.certificate_hex())
    }
}

impl FromStr for Endpoints {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let words: Vec<_> = text.trim().split(',').collect();
        let [http1, http1_tls, http2_tls, certificate] = words[..] else {
            return Err("not the output of the server".into());
        };
        let certificate = certificate
            .as_bytes()
            .chunks(2)
            .map(|digits| Ok(u8::from_str_radix(std::str::from_utf8(digits)?, 16)?))
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            ports: [http1.parse()?, http1_tls.parse()?, http2_tls.parse()?],
            certificate,
        })
    }
}

/// Returns a runtime with one thread, so that the CPU time of the process is that of its calls.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
