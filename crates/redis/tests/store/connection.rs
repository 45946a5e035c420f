//! Where Redis is, and how it is reached.

use std::time::Duration;

use clerk_actor_tokens_policy::rate_limit::Cell;
use clerk_actor_tokens_redis::{ConfigError, RedisConfig, RedisRateLimitStore};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    sync::watch,
};

use crate::{
    limits::{take, take_all},
    server::{Server, connected, free_port, soon, until},
};

fn cell() -> Cell<'static> {
    Cell::new("global", Duration::from_secs(3600), 5)
}

#[test]
fn invalid_configuration_is_an_error_without_the_password() {
    let error = RedisConfig::new("http://user:hunter2@host/").unwrap_err();
    assert!(matches!(error, ConfigError::Url));
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let config = RedisConfig::new("redis://user:hunter2@host/").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(matches!(
        config.clone().connect(),
        Err(ConfigError::Runtime)
    ));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let error = config.namespace("{1}").connect().unwrap_err();
    assert!(matches!(error, ConfigError::Namespace));
}

#[tokio::test]
async fn check_says_why_redis_cannot_be_used() {
    let server = Server::start();
    server.config().check().await.unwrap();

    let absent = RedisConfig::new(&format!("redis://127.0.0.1:{}/", free_port())).unwrap();
    absent.check().await.unwrap_err();

    server.run(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let error = server.config().check().await.unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert!(
        cause.contains("NOAUTH") || cause.contains("uthentication"),
        "{cause}"
    );
}

#[tokio::test]
async fn credentials_and_database_of_the_url_are_used() {
    let port = free_port();
    let server = Server::start_with(&["--port", &port.to_string()]);
    server.run(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let url = format!("redis://:hunter2@127.0.0.1:{port}/4");
    let redis = connected(RedisConfig::new(&url).unwrap()).await;
    assert_eq!(take_all(&RedisRateLimitStore::new(&redis), cell()).await, 5);
}

#[tokio::test]
async fn tls_with_a_private_certificate_authority_is_used() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let port = free_port().to_string();
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().unwrap());
    let _server = Server::start_with(&[
        "--tls-port",
        &port,
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        key,
        "--tls-ca-cert-file",
        certificate,
    ]);
    let config = RedisConfig::new(&format!("rediss://localhost:{port}/")).unwrap();
    let config = config.command_limit(Duration::from_secs(2));
    config.clone().check().await.expect_err("not trusted");
    let redis = connected(config.root_certificate_pem(cert.pem())).await;
    assert_eq!(take_all(&RedisRateLimitStore::new(&redis), cell()).await, 5);
}

#[tokio::test]
async fn connection_ends_with_its_last_clone() {
    let server = Server::start();
    let redis = server.connect().await;
    let store = RedisRateLimitStore::new(&redis);
    let clients = || -> String {
        redis::cmd("CLIENT")
            .arg("LIST")
            .query(&mut server.admin())
            .unwrap()
    };
    let count = || clients().lines().filter(|it| it.contains("sub=1")).count();
    assert_eq!(count(), 1);
    drop(redis);
    assert_eq!(take_all(&store, cell()).await, 5);
    drop(store);
    until(async || count() == 0).await;
}

/// Forwards connections to the server. Returns the port, and the sender that freezes the connections so far: they stay
/// open and forward nothing more.
async fn proxy(server: &Server) -> (u16, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (freeze, frozen) = watch::channel(());
    let socket = server.socket();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut frozen = frozen.clone();
            frozen.mark_unchanged();
            let mut server = UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move {
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    _ = frozen.changed() => std::future::pending().await,
                }
            });
        }
    });
    (port, freeze)
}

#[tokio::test]
async fn connection_that_hangs_is_replaced() {
    let server = Server::start();
    let (port, freeze) = proxy(&server).await;
    let config = RedisConfig::new(&format!("redis://127.0.0.1:{port}/")).unwrap();
    let redis = connected(config.command_limit(Duration::from_millis(100))).await;
    let store = RedisRateLimitStore::new(&redis);
    freeze.send(()).unwrap();
    // The server itself is well, and the heartbeat finds it by a new connection.
    soon(async {
        while server.count("evalsha") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            _ = take(&store, &[cell()]).await;
        }
    })
    .await;
    assert!(redis.is_available());
}
