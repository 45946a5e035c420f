//! `serve` of `examples/gateway.rs`, which users copy. `tests/examples.rs` runs the example itself.

use std::{io, net, time::Duration};

use clerk_actor_tokens::{
    Client, SecretKey,
    sandbox::{Fault, Sandbox},
    server::ActorTokensApi,
};
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::{Instant, timeout},
};
use tower::ServiceExt;

#[allow(dead_code, reason = "its `main` is not called here")]
#[path = "../examples/gateway.rs"]
mod gateway;

const BODY: &str = r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#;
const DAY: Duration = Duration::from_secs(86_400);

/// The example's gateway in a task of this runtime.
struct Gateway {
    sandbox: Sandbox,
    client: Client,
    addr: net::SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<Result<(), oneshot::error::RecvError>>>,
}

fn api(client: &Client) -> ActorTokensApi<Client> {
    let key = SecretKey::new("sk_test_gateway_0123456789").unwrap();
    ActorTokensApi::new(client.clone(), key).unwrap()
}

impl Gateway {
    async fn start() -> Self {
        let sandbox = Sandbox::new();
        let client = gateway::client(&sandbox).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(gateway::serve(listener, api(&client), stopped));
        Self {
            sandbox,
            client,
            addr,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Stops the gateway. Returns how long that took.
    async fn stop(self) -> Duration {
        let before = Instant::now();
        drop(self.stop);
        let _ = self.serving.await.unwrap().unwrap();
        before.elapsed()
    }
}

fn create() -> String {
    format!(
        "POST /v1/actor_tokens HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_test_gateway_0123456789\r\n\
         content-type: application/json\r\nx-operator: jo\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
}

/// Reads one response with a JSON body of one level of braces at its end.
async fn read_response(stream: &mut TcpStream) -> String {
    let mut response = Vec::new();
    while !response.ends_with(b"}") {
        assert_ne!(
            stream.read_buf(&mut response).await.unwrap(),
            0,
            "no response"
        );
    }
    String::from_utf8(response).unwrap()
}

/// Reads until the gateway closes the connection.
async fn read_to_end(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    let end = timeout(DAY, stream.read_to_end(&mut rest)).await;
    // A reset ends the connection as well.
    let _ = end.expect("the connection stays open");
    String::from_utf8(rest).unwrap()
}

#[tokio::test]
async fn kept_connection_mints_nothing_after_the_gateway_has_stopped() {
    let gateway = Gateway::start().await;
    let mut kept = gateway.connect().await;
    kept.write_all(create().as_bytes()).await.unwrap();
    assert!(
        read_response(&mut kept)
            .await
            .starts_with("HTTP/1.1 200 OK")
    );

    let (sandbox, client) = (gateway.sandbox.clone(), gateway.client.clone());
    gateway.stop().await;
    assert!(client.drain(Duration::from_secs(5)).await.is_complete());
    let _ = kept.write_all(create().as_bytes()).await;
    let received = kept.read(&mut [0; 100]).await.unwrap_or_default();
    assert_eq!(received, 0, "the request was served");
    assert_eq!(
        (sandbox.requests(), sandbox.ledger().minted().len()),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn request_in_flight_finishes_while_the_gateway_stops() {
    let gateway = Gateway::start().await;
    let (sandbox, addr) = (gateway.sandbox.clone(), gateway.addr);
    sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    let mut caller = gateway.connect().await;
    caller.write_all(create().as_bytes()).await.unwrap();
    while sandbox.requests() == 0 {
        yield_now().await;
    }
    assert!(gateway.stop().await < Duration::from_secs(6));
    let response = read_to_end(caller).await;
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    assert!(net::TcpStream::connect(addr).is_err());
}

#[tokio::test(start_paused = true)]
async fn call_that_does_not_finish_in_the_grace_period_is_dropped_and_settled() {
    let gateway = Gateway::start().await;
    let (sandbox, client) = (gateway.sandbox.clone(), gateway.client.clone());
    // The second attempt begins in the grace period and would mint after it.
    sandbox.inject(Fault::RateLimited {
        retry_after: Duration::from_secs(9),
    });
    sandbox.inject(Fault::Delay(Duration::from_secs(20)));
    let mut caller = gateway.connect().await;
    caller.write_all(create().as_bytes()).await.unwrap();
    while sandbox.requests() == 0 {
        yield_now().await;
    }
    assert!(gateway.stop().await < Duration::from_secs(16));
    assert_eq!(read_to_end(caller).await, "");
    let settled = client.drain(Duration::from_secs(60)).await;
    assert_eq!((settled.is_complete(), settled.counts().revoked), (true, 1));
    assert_eq!(sandbox.ledger().pending().count(), 0);
}

const INCOMPLETE_HEADS: [&str; 3] = ["", "P", "POST /v1/actor_tokens HTTP/1.1\r\nhost: gate"];

#[tokio::test(start_paused = true)]
async fn connection_with_an_incomplete_head_is_closed() {
    let gateway = Gateway::start().await;
    for head in INCOMPLETE_HEADS {
        let mut caller = gateway.connect().await;
        caller.write_all(head.as_bytes()).await.unwrap();
        read_to_end(caller).await;
    }
    let mut idle = gateway.connect().await;
    idle.write_all(create().as_bytes()).await.unwrap();
    assert!(read_to_end(idle).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test(start_paused = true)]
async fn incomplete_head_does_not_keep_the_gateway_from_stopping() {
    for head in INCOMPLETE_HEADS {
        let gateway = Gateway::start().await;
        let mut caller = gateway.connect().await;
        caller.write_all(head.as_bytes()).await.unwrap();
        assert!(gateway.stop().await < Duration::from_secs(16), "{head}");
        read_to_end(caller).await;
    }
}

#[tokio::test(start_paused = true)]
async fn request_with_an_incomplete_body_is_refused_and_mints_nothing() {
    let gateway = Gateway::start().await;
    let mut caller = gateway.connect().await;
    let request = create();
    caller
        .write_all(&request.as_bytes()[..request.len() - 1])
        .await
        .unwrap();
    let response = read_to_end(caller).await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert_eq!(gateway.sandbox.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn connection_beyond_the_limit_waits_until_another_has_ended() {
    let gateway = Gateway::start().await;
    let mut connections = Vec::new();
    for _ in 0..gateway::CONNECTIONS {
        connections.push(gateway.connect().await);
    }
    let mut last = gateway.connect().await;
    last.write_all(create().as_bytes()).await.unwrap();
    let mut response = [0; 15];
    let read = timeout(Duration::from_secs(1), last.read_exact(&mut response)).await;
    assert!(read.is_err(), "the request was served");
    connections.pop();
    timeout(Duration::from_secs(1), last.read_exact(&mut response))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&response, b"HTTP/1.1 200 OK");
}

#[tokio::test(start_paused = true)]
async fn call_beyond_the_limit_is_refused_at_once() {
    let sandbox = Sandbox::new().faults_by(|_, _| Some(Fault::HangBefore));
    let api = api(&gateway::client(&sandbox).unwrap());
    let request = || {
        Request::post("/v1/actor_tokens")
            .header("authorization", "Bearer sk_test_gateway_0123456789")
            .header("content-type", "application/json")
            .header("x-operator", "jo")
            .body(BODY.to_owned())
            .unwrap()
    };
    let calls: Vec<_> = (0..gateway::CALLS)
        .map(|_| tokio::spawn(api.clone().oneshot(request())))
        .collect();
    while sandbox.requests() < gateway::CALLS as u64 {
        yield_now().await;
    }
    let before = Instant::now();
    let Ok(refused) = api.oneshot(request()).await;
    assert_eq!(
        (refused.status().as_u16(), before.elapsed()),
        (503, Duration::ZERO)
    );
    assert_eq!(sandbox.requests(), gateway::CALLS as u64);
    drop(calls);
}

#[tokio::test]
async fn address_beyond_loopback_is_refused() {
    let client = gateway::client(&Sandbox::new()).unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let stop = std::future::ready(());
    assert!(gateway::serve(listener, api(&client), stop).await.is_err());
}
