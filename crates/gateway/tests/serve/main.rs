//! Connections: limits of number and time, HTTP/2, and a graceful end. Times are short here, and every test
//! waits for an event, such as a connection that the server closes.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use bytes::Bytes;
use clerk_actor_tokens::{SecretKey, sandbox::Sandbox, server::ActorTokensApi};
use clerk_actor_tokens_gateway::serve::{ServeOptions, Served, middleware, serve};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

mod limits;
mod requests;
mod stop;
mod streams;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);
const KEY: &str = "sk_test_q8Zt3vN0cXwL5rYd";

/// The handlers of `/held` that run, and what lets them respond.
#[derive(Clone)]
struct Held {
    running: Arc<watch::Sender<usize>>,
    release: Arc<Semaphore>,
}

impl Held {
    fn new() -> Self {
        let running = Arc::new(watch::Sender::new(0));
        let release = Arc::new(Semaphore::new(0));
        Self { running, release }
    }

    async fn respond(self) -> &'static str {
        struct Running(Arc<watch::Sender<usize>>);
        impl Drop for Running {
            fn drop(&mut self) {
                self.0.send_modify(|count| *count -= 1);
            }
        }
        self.running.send_modify(|count| *count += 1);
        let _running = Running(Arc::clone(&self.running));
        self.release.acquire().await.unwrap().forget();
        "released"
    }

    fn running(&self) -> usize {
        *self.running.borrow()
    }

    async fn wait_for(&self, count: usize) {
        let mut running = self.running.subscribe();
        let reached = running.wait_for(|running| *running == count);
        let _ = timeout(LONG, reached)
            .await
            .expect("the handlers run")
            .unwrap();
    }
}

fn router(held: &Held) -> Router {
    let held = held.clone();
    Router::new()
        .route("/", get(async || "ok"))
        .route("/held", get(move || held.clone().respond()))
        .route(
            "/panic",
            post(async || -> &'static str { panic!("on purpose") }),
        )
}

/// A server, until `stop`.
struct Server {
    addr: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<io::Result<Served>>,
}

impl Server {
    async fn start(router: Router, options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = serve(listener, router, options, stop.clone().cancelled_owned());
        let serving = tokio::spawn(serving);
        Self {
            addr,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Returns a connection whose request waits in the handler of `/held`.
    async fn hold(&self, held: &Held) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(HELD).await.unwrap();
        held.wait_for(1).await;
        stream
    }

    async fn stop(self) -> Served {
        self.stop.cancel();
        timeout(LONG, self.serving)
            .await
            .expect("it ends")
            .unwrap()
            .unwrap()
    }
}

fn options() -> ServeOptions {
    ServeOptions::default()
}

fn get_request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path)
        .header("host", "gateway")
        .body(Empty::new())
        .unwrap()
}

/// Sends a GET over this connection and reads the whole response.
async fn get_over(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read_response(stream).await
}

/// Reads a response of a known length.
async fn read_response(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let end = text.windows(4).position(|it| it == b"\r\n\r\n");
        let head = String::from_utf8_lossy(&text[..end.unwrap_or(0)]).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|it| it.split("\r\n").next()?.parse::<usize>().ok());
        if let (Some(end), Some(length)) = (end, length)
            && text.len() >= end + 4 + length
        {
            return String::from_utf8(text).unwrap();
        }
        let read = timeout(LONG, stream.read_buf(&mut text))
            .await
            .expect("a response")
            .unwrap();
        assert!(
            read > 0,
            "closed after {:?}",
            String::from_utf8_lossy(&text)
        );
    }
}

/// Reads until the server closes the connection.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut bytes))
        .await
        .expect("it is closed");
    if let Err(error) = read {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    bytes
}

const HELD: &[u8] = b"GET /held HTTP/1.1\r\nhost: gateway\r\n\r\n";
