//! The end: requests in flight finish, or are dropped before `serve` returns.

use super::*;

#[tokio::test]
async fn stopping_server_finishes_the_request_in_flight_and_closes_idle_connections() {
    let held = Held::new();
    let server = Server::start(router(&held), options()).await;
    let mut idle = server.connect().await;
    assert!(get_over(&mut idle, "/").await.starts_with("HTTP/1.1 200"));
    let mut busy = server.hold(&held).await;
    server.stop.cancel();
    assert_eq!(read_to_end(&mut idle).await, b"");
    assert!(
        TcpStream::connect(server.addr).await.is_err(),
        "the listener is closed"
    );
    held.release.add_permits(1);
    let response = String::from_utf8(read_to_end(&mut busy).await).unwrap();
    assert!(
        response.contains("connection: close") && response.ends_with("released"),
        "{response}"
    );
    assert_eq!(server.stop().await.cut, 0);
}

#[tokio::test]
async fn stopping_server_finishes_the_http2_stream_in_flight() {
    let held = Held::new();
    let server = Server::start(router(&held), options()).await;
    let io = TokioIo::new(server.connect().await);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let response = client.send_request(get_request("http://gateway/held"));
    let response = tokio::spawn(response);
    held.wait_for(1).await;
    let stopped = tokio::spawn(server.stop());
    // The GOAWAY has arrived.
    while client.ready().await.is_ok() {
        let further = client.send_request(get_request("http://gateway/"));
        let _ = timeout(LONG, further).await.unwrap();
    }
    held.release.add_permits(1);
    let response = timeout(LONG, response).await.unwrap().unwrap().unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "released");
    assert_eq!(stopped.await.unwrap().cut, 0);
}

#[tokio::test]
async fn request_that_outlasts_the_grace_is_dropped_before_serve_returns() {
    for is_http2 in [false, true] {
        let mut options = options();
        options.grace = SHORT;
        let held = Held::new();
        let server = Server::start(router(&held), options).await;
        let io = TokioIo::new(server.connect().await);
        let request = get_request("http://gateway/held");
        let response = match is_http2 {
            true => {
                let (mut client, connection) =
                    http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                tokio::spawn(async move { client.send_request(request).await.map(drop) })
            }
            false => {
                let (mut client, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                tokio::spawn(async move { client.send_request(request).await.map(drop) })
            }
        };
        held.wait_for(1).await;
        let served = server.stop().await;
        assert_eq!((served.cut, held.running()), (1, 0), "HTTP/2: {is_http2}");
        assert!(timeout(LONG, response).await.unwrap().unwrap().is_err());
    }
}

/// A stream is a task of its own: here it is being polled on another thread when the connections are cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn serve_does_not_return_while_an_http2_stream_runs() {
    let mut options = options();
    options.grace = SHORT;
    let (entered, mut has_entered) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel();
    let released = Arc::new(std::sync::Mutex::new(released));
    let blocked = async move || {
        entered.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        std::future::pending::<&'static str>().await
    };
    let held = Held::new();
    let router = router(&held).route("/blocked", get(blocked));
    let server = Server::start(router, options).await;
    let io = TokioIo::new(server.connect().await);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = get_request("http://gateway/blocked");
    let response = tokio::spawn(async move { client.send_request(request).await.map(drop) });
    has_entered.recv().await.unwrap();
    let mut other = server.hold(&held).await;
    server.stop.cancel();
    // It is cut, so the grace is over.
    assert_eq!(read_to_end(&mut other).await, b"");
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!server.serving.is_finished());
    release.send(()).unwrap();
    assert_eq!(server.stop().await.cut, 2);
    assert!(timeout(LONG, response).await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn dropped_server_drops_its_requests() {
    let held = Held::new();
    let server = Server::start(router(&held), options()).await;
    let mut stream = server.hold(&held).await;
    server.serving.abort();
    held.wait_for(0).await;
    assert_eq!(read_to_end(&mut stream).await, b"");
}
