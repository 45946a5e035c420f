//! The layers around each request.

use super::*;

#[tokio::test]
async fn slow_body_is_a_400_and_nothing_is_minted() {
    let sandbox = Sandbox::new();
    let client = clerk_actor_tokens::Client::new(sandbox.clone());
    let api = ActorTokensApi::new(client, SecretKey::new(KEY).unwrap()).unwrap();
    let router = middleware(Router::new().fallback_service(api), SHORT);
    let server = Server::start(router, options()).await;
    let mut stream = server.connect().await;
    let head = format!(
        "POST /v1/actor_tokens HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\ncontent-type: \
         application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let response = read_response(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 400"), "{response}");
    assert!(response.contains("request_body_invalid"), "{response}");
    assert_eq!(sandbox.ledger().minted().len(), 0);
    server.stop().await;
}

#[tokio::test]
async fn panic_is_a_500_of_the_wire_protocol_and_the_server_goes_on() {
    let server = Server::start(middleware(router(&Held::new()), LONG), options()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /panic HTTP/1.1\r\nhost: gateway\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    let response = read_response(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 500"), "{response}");
    assert!(response.contains("cache-control: no-store"), "{response}");
    assert!(
        response.contains(r#""code":"internal_error""#),
        "{response}"
    );
    assert!(!response.contains("on purpose"), "{response}");
    assert!(get_over(&mut stream, "/").await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn request_id_is_kept_if_plain_and_replaced_otherwise() {
    let server = Server::start(middleware(router(&Held::new()), LONG), options()).await;
    let io = TokioIo::new(server.connect().await);
    let (mut client, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let long = "a".repeat(129);
    for (ids, kept) in [
        (&["4711"][..], true),
        (&["4711 a"], false),
        (&[&long], false),
        (&["1", "2"], false),
        (&[], false),
    ] {
        let mut request = get_request("/");
        for id in ids {
            request
                .headers_mut()
                .append("x-request-id", id.parse().unwrap());
        }
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(ids.contains(&&*id), kept, "{ids:?}: {id}");
        assert!(!id.is_empty());
        response.into_body().collect().await.unwrap();
    }
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn long_head_is_refused() {
    let server = Server::start(router(&Held::new()), options()).await;
    let mut stream = server.connect().await;
    let head = format!(
        "GET / HTTP/1.1\r\nhost: gateway\r\nx: {}\r\n\r\n",
        "a".repeat(64 * 1024)
    );
    // The server may close the connection before it has read all.
    let _ = stream.write_all(head.as_bytes()).await;
    let response = read_to_end(&mut stream).await;
    let response = String::from_utf8_lossy(&response);
    assert!(
        response.is_empty() || response.starts_with("HTTP/1.1 431"),
        "{response}"
    );
    server.stop().await;
}
