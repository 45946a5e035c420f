//! A process without free file descriptors. The test is alone in its process because it takes them all.
#![cfg(unix)]

use std::{fs::File, time::Duration};

use clerk_actor_tokens::sandbox::Sandbox;
use rlimit::Resource;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

/// Opens files until there are no more descriptors, of 64.
fn all_descriptors() -> Vec<File> {
    let (_, hard) = Resource::NOFILE.get().unwrap();
    Resource::NOFILE.set(64, hard).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn sandbox_without_descriptors_serves_again_when_one_is_free() {
    let server = Sandbox::new().spawn().await.unwrap();
    let mut files = all_descriptors();
    files.pop();
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    assert!(File::open("/dev/null").is_err(), "there was one left");

    // The paused clock moves on while all tasks wait, the server for a descriptor.
    sleep(Duration::from_secs(5)).await;
    drop(files);
    let request = b"GET /v1/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 "), "{response}");
}
