//! A server that cannot be used is refused with the reason.

use clerk_actor_tokens_postgres::{PostgresConfig, PostgresError};

use crate::{proxy::Proxy, support::Server};

#[tokio::test]
async fn check_changes_nothing() {
    let server = Server::start();
    server.config().check().await.unwrap();
    let admin = server.admin().await;
    let sql = "SELECT count(*) FROM pg_namespace WHERE nspname = 'actor_tokens'";
    assert_eq!(admin.value::<i64>(sql, &[]).await, 0);
}

#[tokio::test]
async fn pooler_of_transactions_is_refused() {
    let server = Server::start();
    let pooler = Proxy::pooler(&server);
    let config = || server.config_at(&pooler.url(&server));
    let error = config().check().await.unwrap_err();
    assert!(matches!(error, PostgresError::Pooler), "{error}");
    let error = config().connect().await.unwrap_err();
    assert!(matches!(error, PostgresError::Pooler), "{error}");
}

#[tokio::test]
async fn server_that_takes_no_writes_is_refused() {
    let server = Server::start();
    let options = " options='-c default_transaction_read_only=on'";
    let config = server.config_at(&(server.url() + options));
    let error = config.check().await.unwrap_err();
    assert!(matches!(error, PostgresError::ReadOnly), "{error}");
}

#[tokio::test]
async fn database_of_another_encoding_is_refused() {
    let server = Server::start();
    let sql = "CREATE DATABASE other ENCODING 'LATIN1' TEMPLATE template0";
    server.admin().await.0.batch_execute(sql).await.unwrap();
    let url = format!(
        "host={} user=postgres dbname=other",
        server.socket().display()
    );
    let error = server.config_at(&url).check().await.unwrap_err();
    assert!(
        matches!(&error, PostgresError::Encoding { encoding } if encoding == "LATIN1"),
        "{error}"
    );
    let sql = "DROP DATABASE other WITH (FORCE)";
    server.admin().await.0.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn commits_are_durable_whatever_the_default_is() {
    let server = Server::start();
    let admin = server.admin().await;
    let sql = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$";
    admin.0.batch_execute(sql).await.unwrap();
    let store = server.connect().await;
    let shown = "CREATE FUNCTION actor_tokens.shown() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.heir := current_setting('synchronous_commit'); RETURN NEW; END $$;
        CREATE TRIGGER shown BEFORE UPDATE ON actor_tokens.instances
            FOR EACH ROW EXECUTE FUNCTION actor_tokens.shown()";
    admin.0.batch_execute(shown).await.unwrap();
    assert!(store.is_available().await);
    let sql = "SELECT heir FROM instances";
    assert_eq!(admin.column(sql, &[]).await, ["on"]);
}

#[tokio::test]
async fn server_that_is_not_there_is_an_error_that_says_so() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("host={} user=postgres", folder.path().display());
    let error = server.config_at(&url).check().await.unwrap_err();
    assert!(
        error.to_string().contains("error connecting to server: "),
        "{error}"
    );
}

#[test]
fn configuration_shows_no_password() {
    let url = "postgres://user:secret@localhost/database";
    let config = PostgresConfig::new(url).unwrap();
    assert!(!format!("{config:?}").contains("secret"));
    let error = PostgresConfig::new("postgres://user:secret@localhost:port/").unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret"));
}
