//! Two GET requests over one connection to a server on loopback.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::connect::HttpConnector;
use pooled_transport::PooledTransport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(serve_one_connection(listener));

    let transport = PooledTransport::new(HttpConnector::new());
    for _ in 0..2 {
        let request = http::Request::get(&uri).body(Empty::<Bytes>::new())?;
        let response = transport.clone().oneshot(request).await?;
        println!("{}", response.status());
        let body = response.into_body().collect().await?.to_bytes();
        println!("{}", String::from_utf8_lossy(&body));
    }
    Ok(())
}

async fn serve_one_connection(listener: tokio::net::TcpListener) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        stream.write_all(response).await?;
    }
    Ok(())
}
