//! Common mistakes, each with the error message that its user reads.

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, BaseUrl, ClientBuilder, CreateActorToken, SecretKey,
    sandbox::{Fault, Sandbox},
};
use http::StatusCode;

/// Returns the error message of a create, with its trace id replaced.
async fn message(sandbox: &Sandbox, key: SecretKey) -> String {
    let client = ClientBuilder::over(key, sandbox.transport())
        .build()
        .unwrap();
    let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    let error = client.create(create).await.unwrap_err();
    let shown = error.to_string();
    match error.trace_id() {
        Some(trace_id) => shown.replace(trace_id, "…"),
        None => shown,
    }
}

async fn against(sandbox: Sandbox) -> String {
    message(&sandbox, sandbox.secret_key()).await
}

async fn with_fault(fault: Fault, times: usize) -> String {
    let sandbox = Sandbox::new();
    (0..times).for_each(|_| sandbox.inject(fault.clone()));
    against(sandbox).await
}

#[tokio::test]
async fn wrong_key_message_states_that_the_key_is_invalid() {
    let key = SecretKey::new("sk_test_wrong").unwrap();
    assert_eq!(
        message(&Sandbox::new(), key).await,
        "the API responded with 401 Unauthorized, clerk_key_invalid: The provided Clerk Secret Key is \
         invalid. Make sure that it is the one of this API. (trace id …)"
    );
}

#[test]
fn malformed_base_url_message_states_the_mistake() {
    let message = |url: &str| url.parse::<BaseUrl>().unwrap_err().to_string();
    assert_eq!(
        message("api.clerk.com"),
        "the base URL needs a scheme and a host, like https://api.clerk.com/v1"
    );
    assert_eq!(message(""), "the base URL is empty");
    assert_eq!(
        message("https://api.clerk.com/v1\n"),
        "the base URL must not have white space, in it or around it"
    );
    assert_eq!(
        message("http://api.clerk.com/v1"),
        "the base URL must start with https://, plain http:// is accepted for loopback only"
    );
}

#[tokio::test]
async fn unknown_user_message_states_that_no_user_was_found() {
    assert_eq!(
        against(Sandbox::new().known_users(["user_9"])).await,
        "the API responded with 404 Not Found, resource_not_found: No user was found with this id. \
         (trace id …)"
    );
}

#[tokio::test]
async fn exhausted_quota_message_states_that_no_impersonations_are_left() {
    assert_eq!(
        against(Sandbox::new().quota(0)).await,
        "the API responded with 422 Unprocessable Entity, impersonation_limit_exceeded: The plan of this \
         instance has no impersonations left. (trace id …)"
    );
}

#[tokio::test]
async fn plan_without_impersonation_message_states_what_is_missing() {
    assert_eq!(
        against(Sandbox::new().without_impersonation()).await,
        "the API responded with 402 Payment Required, unsupported_subscription_plan_features: The plan of \
         this instance does not include impersonation. (trace id …)"
    );
}

#[tokio::test]
async fn rate_limit_message_states_when_to_try_again() {
    let fault = Fault::RateLimited {
        retry_after: Duration::from_secs(60),
    };
    assert_eq!(
        with_fault(fault, 1).await,
        "the API responded with 429 Too Many Requests, too_many_requests: Too many requests. Please try \
         again later.; try again in 60s (trace id …)"
    );
}

#[tokio::test]
async fn proxy_html_page_message_states_status_and_outcome() {
    assert_eq!(
        with_fault(Fault::Html(StatusCode::BAD_GATEWAY), 1).await,
        "the API responded with 502 Bad Gateway (trace id …); it may have taken effect"
    );
}

#[tokio::test(start_paused = true)]
async fn timeout_message_states_the_limit_and_the_outcome() {
    assert_eq!(
        with_fault(Fault::HangAfter, 1).await,
        "timed out: the attempt took longer than 10s; it may have taken effect (attempt 1)"
    );
}

#[tokio::test]
async fn lost_connection_message_states_the_outcome() {
    assert_eq!(
        with_fault(Fault::DisconnectAfter, 1).await,
        "the connection was lost before the response was complete; it may have taken effect"
    );
}

mod connecting {
    use clerk_actor_tokens::{
        Actor, Client, ClientBuilder, CreateActorToken, RetryConfig, SecretKey,
    };
    use hyper_util::{
        client::legacy::{
            self,
            connect::{HttpConnector, dns::Name},
        },
        rt::TokioExecutor,
    };
    use tokio::net::TcpListener;

    async fn message(base_url: &str) -> String {
        let client = Client::builder(SecretKey::new("sk_test_1").unwrap())
            .base_url(base_url)
            .retry(RetryConfig::disabled())
            .build()
            .unwrap();
        let create = CreateActorToken::new("user_1", Actor::new("user_2"));
        client.create(create).await.unwrap_err().to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn unresolved_host_message_states_that_nothing_was_sent() {
        let resolver = tower::service_fn(|_: Name| async {
            Err::<std::vec::IntoIter<std::net::SocketAddr>, _>(std::io::Error::other(
                "no such name",
            ))
        });
        let connector = HttpConnector::new_with_resolver(resolver);
        let transport = legacy::Client::builder(TokioExecutor::new()).build(connector);
        let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
            .base_url("http://localhost")
            .build()
            .unwrap();
        let create = CreateActorToken::new("user_1", Actor::new("user_2"));
        assert_eq!(
            client.create(create).await.unwrap_err().to_string(),
            "connecting to the API failed, nothing was sent: the host name could not be resolved \
             (attempt 3)"
        );
    }

    #[tokio::test]
    async fn refused_connection_message_states_that_nothing_was_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert_eq!(
            message(&format!("http://127.0.0.1:{port}")).await,
            "connecting to the API failed, nothing was sent: the server refuses connections"
        );
    }

    #[tokio::test]
    async fn server_without_tls_message_states_that_it_does_not_speak_tls() {
        use tokio::io::AsyncWriteExt;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        });
        assert_eq!(
            message(&format!("https://127.0.0.1:{port}")).await,
            "connecting to the API failed, nothing was sent: the server does not speak TLS, or none \
             that fits"
        );
    }
}
