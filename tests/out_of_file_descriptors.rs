//! What happens to a process that is out of file descriptors. Alone in its process, for that is what
//! it takes them from.
#![cfg(unix)]

use std::{fs::File, time::Duration};

use clerk_actor_tokens::sandbox::Sandbox;
use rlimit::Resource;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

/// Files until there are no more, few as they may be.
fn all_descriptors() -> Vec<File> {
    let (_, hard) = Resource::NOFILE.get().unwrap();
    Resource::NOFILE.set(64, hard).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn sandbox_serves_again_once_file_descriptors_are_free() {
    let server = Sandbox::new().spawn().await.unwrap();
    let mut files = all_descriptors();
    files.pop();
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    assert!(File::open("/dev/null").is_err(), "there was one left");

    // Time moves on only while everybody waits, the server for a descriptor.
    sleep(Duration::from_secs(5)).await;
    drop(files);
    let request = b"GET /v1/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 "), "{response}");
}
