//! A server that records raw requests and sends scripted raw responses.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use clerk_actor_tokens::BaseUrl;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Closes the connection of a request for which the script has no response.
pub(crate) struct RawServer {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    responses: VecDeque<String>,
    connections: usize,
    requests: Vec<RawRequest>,
}

/// A request on the wire.
#[derive(Clone)]
pub(crate) struct RawRequest {
    /// The number of its connection, counted from one.
    pub(crate) connection: usize,
    pub(crate) line: String,
    /// The header lines, sorted.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

/// The scripted response that is never sent.
pub(crate) const SILENCE: &str = "";

impl RawServer {
    pub(crate) async fn responding(responses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log {
            responses: responses.into_iter().map(Into::into).collect(),
            ..Log::default()
        }));
        let shared = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut log = shared.lock().unwrap();
                    log.connections += 1;
                    log.connections
                };
                tokio::spawn(serve(stream, number, Arc::clone(&shared)));
            }
        });
        Self { address, log }
    }

    /// Returns the base URL of this server with `path`.
    pub(crate) fn base_url(&self, path: &str) -> BaseUrl {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }

    pub(crate) fn requests(&self) -> Vec<RawRequest> {
        self.log.lock().unwrap().requests.clone()
    }

    /// Returns the only request.
    pub(crate) fn request(&self) -> RawRequest {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "number of requests");
        requests[0].clone()
    }
}

async fn serve(mut stream: TcpStream, connection: usize, log: Arc<Mutex<Log>>) {
    while let Some(request) = read(&mut stream, connection).await {
        let response = {
            let mut log = log.lock().unwrap();
            log.requests.push(request);
            log.responses.pop_front()
        };
        match response.as_deref() {
            None => return,
            Some(SILENCE) => std::future::pending().await,
            Some(response) => stream.write_all(response.as_bytes()).await.unwrap(),
        }
    }
}

async fn read(stream: &mut TcpStream, connection: usize) -> Option<RawRequest> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
    let line = lines.next().unwrap();
    let mut headers: Vec<_> = lines.collect();
    headers.sort();
    let length = headers
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(RawRequest {
        connection,
        line,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
