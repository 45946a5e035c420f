//! A token is revoked if the caller disconnects before the response can have reached it.

use std::{future::poll_fn, pin::Pin};

use http::HeaderValue;
use http_body::{Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use super::super::*;

/// Smaller than the head of a response, so that the server waits with the body until the head is read.
const PIPE: usize = 1024;

/// How far a caller reads before it disconnects.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reads {
    Head,
    Body,
}

/// Adds a header that does not fit into the buffer of an HTTP/1.1 connection together with the body.
fn with_long_head<B>(mut response: Response<B>) -> Response<B> {
    let long = HeaderValue::try_from("x".repeat(16 * 1024)).unwrap();
    response.headers_mut().insert("x-long", long);
    response
}

async fn call_over_http1(api: ActorTokensApi<Client>, reads: Reads) {
    let (mut caller, io) = duplex(PIPE);
    let service = ServiceExt::<Request<Incoming>>::map_response(api, with_long_head);
    let service = TowerToHyperService::new(service);
    let connection = http1::Builder::new()
        .max_buf_size(8192)
        .serve_connection(TokioIo::new(io), service);
    let connection = tokio::spawn(connection);
    let request = format!(
        "POST {CREATE} HTTP/1.1\r\nhost: gateway\r\n{}: {}\r\n{}: {}\r\ncontent-length: {}\r\n\r\n{BODY}",
        AUTH.0,
        AUTH.1,
        JSON.0,
        JSON.1,
        BODY.len()
    );
    caller.write_all(request.as_bytes()).await.unwrap();
    let mut received = vec![0; 15];
    caller.read_exact(&mut received).await.unwrap();
    assert_eq!(received, b"HTTP/1.1 200 OK");
    if reads == Reads::Body {
        while !received.ends_with(b"}") {
            assert!(caller.read_buf(&mut received).await.unwrap() > 0);
        }
    }
    drop(caller);
    let _ = connection.await.unwrap();
}

/// Runs the tasks of HTTP/2 streams, so that a test can wait until they have ended.
#[derive(Clone, Default)]
struct Streams(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// A response body that a layer delays, as a rate limit would.
struct Delayed<B>(B);

impl<B: http_body::Body> http_body::Body for Delayed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

type Sender = h2::client::SendRequest<Bytes>;
type Call = (h2::client::ResponseFuture, h2::SendStream<Bytes>);

/// Serves one connection. Returns the caller's side, and a future that lets the caller disconnect and
/// waits until every task of the server has ended.
async fn connect_over_http2<S, B>(service: S) -> (Sender, impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (caller, io) = duplex(64 * 1024);
    let streams = Streams::default();
    let connection = http2::Builder::new(streams.clone())
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
    let connection = tokio::spawn(connection);
    let (sender, caller) = h2::client::handshake(caller).await.unwrap();
    let caller = tokio::spawn(caller);
    let disconnect = async move {
        caller.abort();
        let _ = connection.await.unwrap();
        streams.0.close();
        streams.0.wait().await;
    };
    (sender, disconnect)
}

fn send_create(sender: &mut Sender) -> Call {
    let (mut head, _) = create("").into_parts();
    head.uri = format!("http://gateway{CREATE}").parse().unwrap();
    let request = Request::from_parts(head, ());
    let (response, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(BODY.into(), true).unwrap();
    (response, body)
}

async fn call_over_http2(api: ActorTokensApi<Client>, reads: Reads) {
    if reads == Reads::Head {
        let api = ServiceExt::<Request<Incoming>>::map_response(api, |it| it.map(Delayed));
        let (mut sender, disconnect) = connect_over_http2(api).await;
        let response = send_create(&mut sender).0.await.unwrap();
        assert_eq!(response.status(), 200);
        return disconnect.await;
    }
    let (mut sender, disconnect) = connect_over_http2(api).await;
    let mut body = send_create(&mut sender).0.await.unwrap().into_body();
    while body.data().await.is_some() {}
    disconnect.await;
}

#[tokio::test(start_paused = true)]
async fn token_is_revoked_when_the_caller_disconnects_before_the_body_is_polled() {
    for is_http2 in [false, true] {
        for (reads, returned, revoked) in [(Reads::Head, 0, 1), (Reads::Body, 1, 0)] {
            let sandbox = Sandbox::new();
            let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
                .build()
                .unwrap();
            let api = ActorTokensApi::new(client.clone(), key()).unwrap();
            if is_http2 {
                call_over_http2(api, reads).await;
            } else {
                call_over_http1(api, reads).await;
            }
            let report = client.drain(Duration::from_secs(60)).await;
            let case = format!("HTTP/2: {is_http2}, reads {reads:?}");
            assert!(report.is_complete(), "{case}");
            let (ledger, counts) = (sandbox.ledger(), report.counts());
            let reported = counts.not_revoked + counts.unknown;
            assert_eq!(
                (ledger.minted().len() as u64, counts.revoked, reported),
                (returned + revoked + reported, revoked, 0),
                "{case}"
            );
            assert_eq!(ledger.pending().count() as u64, returned, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn token_is_revoked_when_the_caller_disconnects_as_the_response_is_ready() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .build()
        .unwrap();
    let api = ActorTokensApi::new(client.clone(), key()).unwrap();
    let is_open = Arc::new(Mutex::new(false));
    let gate = Arc::clone(&is_open);
    // Registers no waker, so that only the end of the connection polls the stream again.
    let api = ServiceExt::<Request<Incoming>>::then(api, move |response| {
        let gate = Arc::clone(&gate);
        let mut response = Some(response);
        poll_fn(move |_| match *gate.lock().unwrap() {
            true => Poll::Ready(response.take().unwrap()),
            false => Poll::Pending,
        })
    });
    let (mut sender, disconnect) = connect_over_http2(api).await;
    let _call = send_create(&mut sender);
    while sandbox.ledger().minted().len() == 0 {
        yield_now().await;
    }
    // The sandbox responds at once, so the response is at the gate after the same poll.
    *is_open.lock().unwrap() = true;
    disconnect.await;
    let report = client.drain(Duration::from_secs(60)).await;
    assert_eq!((report.is_complete(), report.counts().revoked), (true, 1));
    assert_eq!(sandbox.ledger().pending().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn token_of_a_response_that_a_server_drops_is_revoked() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .build()
        .unwrap();
    let api = ActorTokensApi::new(client.clone(), key()).unwrap();
    let Ok(response) = api.oneshot(create(BODY)).await;
    let announced: u64 = response.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let hint = http_body::Body::size_hint(response.body());
    assert_eq!(hint.exact(), Some(announced));
    let shown = format!("{:?}", response.body());
    assert_eq!(
        shown,
        format!("ResponseBody {{ remaining: {announced}, .. }}")
    );
    drop(response);
    let report = client.drain(Duration::from_secs(60)).await;
    assert_eq!((report.is_complete(), report.counts().revoked), (true, 1));
    assert_eq!(sandbox.ledger().pending().count(), 0);
}
