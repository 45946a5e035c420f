//! Limits of connections and of their times.

use super::*;

#[tokio::test]
async fn plain_http_beyond_loopback_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let stop = std::future::pending::<()>();
    let served = serve(listener, router(&Held::new()), options(), stop).await;
    assert_eq!(
        served.unwrap_err().to_string(),
        "plain HTTP is for loopback only"
    );
}

#[tokio::test]
async fn slow_head_closes_the_connection_without_a_response() {
    let mut options = options();
    options.head_timeout = SHORT;
    let server = Server::start(router(&Held::new()), options).await;
    // Nothing; half a head; a beginning that both versions have; HTTP/2 without a request.
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    for head in ["", "GET / HTTP/1.1\r\nhost: gate", "PRI * HT", preface] {
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let response = read_to_end(&mut stream).await;
        assert!(
            !response.starts_with(b"HTTP"),
            "{head:?}: {:?}",
            String::from_utf8_lossy(&response)
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn idle_connection_is_closed_after_the_head_timeout() {
    let mut options = options();
    options.head_timeout = Duration::from_secs(1);
    let server = Server::start(router(&Held::new()), options).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        assert!(get_over(&mut stream, "/").await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(read_to_end(&mut stream).await, b"");
    server.stop().await;
}

#[tokio::test]
async fn request_that_takes_longer_than_the_head_timeout_is_served() {
    let mut options = options();
    options.head_timeout = Duration::from_millis(500);
    let held = Held::new();
    let server = Server::start(router(&held), options).await;
    let mut idle = server.connect().await;
    let mut stream = server.hold(&held).await;
    // It was closed, so the head timeout is over.
    read_to_end(&mut idle).await;
    held.release.add_permits(1);
    assert!(read_response(&mut stream).await.ends_with("released"));
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_stop_a_request() {
    rlimit::increase_nofile_limit(8192).unwrap();
    let server = Server::start(router(&Held::new()), options()).await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        let mut stream = server.connect().await;
        assert!(get_over(&mut stream, "/").await.starts_with("HTTP/1.1 200"));
        idle.push(stream);
    }
    let mut stream = server.connect().await;
    assert!(get_over(&mut stream, "/").await.starts_with("HTTP/1.1 200"));
    // They are still open.
    assert!(
        get_over(&mut idle[0], "/")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(server.stop().await.cut, 0);
}

#[tokio::test]
async fn connection_above_the_limit_waits_while_all_others_have_a_request() {
    let mut options = options();
    options.max_connections = 2;
    let held = Held::new();
    let server = Server::start(router(&held), options).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for (stream, count) in [(&mut first, 1), (&mut second, 2)] {
        stream.write_all(HELD).await.unwrap();
        held.wait_for(count).await;
    }
    let mut third = server.connect().await;
    third.write_all(HELD).await.unwrap();
    // Turns in which the server would serve the third one.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(held.running(), 2);
    held.release.add_permits(2);
    for stream in [&mut first, &mut second] {
        assert!(read_response(stream).await.ends_with("released"));
    }
    held.wait_for(1).await;
    held.release.add_permits(1);
    assert!(read_response(&mut third).await.ends_with("released"));
    // The first one was idle for the longest, and made room. The second one was not closed for nothing.
    assert_eq!(read_to_end(&mut first).await, b"");
    assert!(get_over(&mut second, "/").await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn flood_of_idle_connections_and_half_heads_does_not_stop_a_request() {
    let mut options = options();
    options.max_connections = 8;
    options.grace = SHORT;
    let held = Held::new();
    let server = Server::start(router(&held), options).await;
    let mut busy = server.connect().await;
    busy.write_all(HELD).await.unwrap();
    held.wait_for(1).await;
    let mut flood = Vec::new();
    for _ in 0..100 {
        let mut stream = server.connect().await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: gate")
            .await
            .unwrap();
        flood.push(stream);
    }
    let mut stream = server.connect().await;
    assert!(get_over(&mut stream, "/").await.starts_with("HTTP/1.1 200"));
    held.release.add_permits(1);
    assert!(read_response(&mut busy).await.ends_with("released"));
    server.stop().await;
}
