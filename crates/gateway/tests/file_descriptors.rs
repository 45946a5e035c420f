//! A process without free file descriptors: its server goes on once some are free. The limit holds for the
//! whole process, so this test has it to itself.

use std::{io, net, time::Duration};

use axum::{Router, routing::get};
use clerk_actor_tokens_gateway::serve::{ServeOptions, serve};
use rlimit::Resource;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);

/// Passes log lines to the test.
#[derive(Clone)]
struct Log(mpsc::UnboundedSender<String>);

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn server_without_file_descriptors_accepts_again_once_some_are_free() {
    let (log, mut logged) = mpsc::unbounded_channel();
    tracing_subscriber::fmt()
        .with_writer(move || Log(log.clone()))
        .init();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let router = Router::new().route("/", get(async || "ok"));
    let serving = serve(
        listener,
        router,
        ServeOptions::default(),
        stop.clone().cancelled_owned(),
    );
    let serving = tokio::spawn(serving);

    let (_, hard) = Resource::NOFILE.get().unwrap();
    Resource::NOFILE.set(40, hard).unwrap();
    // Connections are complete before the server accepts them, which is not polled here.
    let mut all = Vec::new();
    let last = loop {
        match net::TcpStream::connect(addr) {
            Ok(stream) => all.push(stream),
            Err(error) => break error,
        }
        assert!(all.len() < 100);
    };
    assert_eq!(last.raw_os_error(), Some(24), "EMFILE: {last}");
    let waiting = all.pop().unwrap();
    waiting.set_nonblocking(true).unwrap();
    let mut waiting = TcpStream::from_std(waiting).unwrap();
    waiting
        .write_all(b"GET / HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let line = timeout(LONG, logged.recv()).await.unwrap().unwrap();
    assert!(line.contains("could not accept a connection"), "{line}");
    drop(all);
    let mut response = String::new();
    let read = timeout(LONG, waiting.read_to_string(&mut response)).await;
    read.expect("a response").unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    stop.cancel();
    assert_eq!(
        timeout(LONG, serving).await.unwrap().unwrap().unwrap().cut,
        0
    );
}
