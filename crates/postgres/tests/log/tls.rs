//! `sslmode=require` is TLS with a certificate and a name that are verified.

use std::{fs, os::unix::fs::PermissionsExt};

use clerk_actor_tokens_postgres::PostgresError;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::{TempDir, tempdir};

use crate::support::{Call, Server, give_to_server};

/// An address of the loopback that no other server has, so that the port is the usual one.
fn address() -> String {
    let [.., a, b] = std::process::id().to_be_bytes();
    format!("127.77.{a}.{b}")
}

/// Starts a server for the name `localhost`, and returns its certificate as PEM.
fn start() -> (Server, TempDir, String) {
    let names = ["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let folder = tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    fs::write(&certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for path in [folder.path(), &certificate, &key] {
        give_to_server(path);
    }
    let server = Server::start_with(&[
        "ssl=on",
        &format!("listen_addresses={}", address()),
        &format!("ssl_cert_file={}", certificate.display()),
        &format!("ssl_key_file={}", key.display()),
    ]);
    (server, folder, cert.pem())
}

#[tokio::test]
async fn certificate_and_name_are_verified() {
    let (server, _folder, pem) = start();
    let url = |host: &str| {
        let (address, database) = (address(), server.database());
        format!("host={host} hostaddr={address} user=postgres dbname={database} sslmode=require")
    };
    let trusting = server
        .config_at(&url("localhost"))
        .root_certificate_pem(pem.clone());
    let store = trusting.connect().await.unwrap();
    store.write(vec![Call::new().create()]).await.unwrap();
    let admin = server.admin().await;
    let sql = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE ssl AND application_name = 'actor-tokens'";
    assert_eq!(admin.value::<i64>(sql, &[]).await, 1);

    // The system does not trust it.
    let error = server
        .config_at(&url("localhost"))
        .check()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    let other = server
        .config_at(&url("other.example"))
        .root_certificate_pem(pem);
    let error = other.check().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    let error = server
        .config_at(&url("localhost"))
        .root_certificate_pem("none")
        .check()
        .await;
    assert!(
        matches!(error, Err(PostgresError::RootCertificate)),
        "{error:?}"
    );
}
