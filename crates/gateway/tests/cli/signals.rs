//! How a gateway starts, ends and reads its configuration again.

use super::*;

#[tokio::test]
async fn what_cannot_be_served_exits_with_a_code_and_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "http://127.0.0.1:1");
    let path = config.to_str().unwrap();
    let output = run(&["serve", "--config", "missing.toml"]);
    let missing = "error: could not read missing.toml: No such file or directory (os error 2)\n";
    assert_eq!(parts(&output), (2, "", missing));

    let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let output = run(&["--config", path, "--port", &port]);
    let (code, _, error) = parts(&output);
    assert_eq!(code, 3);
    let expected = format!(
        "error: server.listen: could not listen on 127.0.0.1:{port}: Address already in use"
    );
    assert!(error.contains(&expected), "{error}");

    let mut first = Running::serve(&config);
    first.printed("gateway ").await;
    let output = run(&["--config", path]);
    let (code, out, error) = parts(&output);
    assert_eq!((code, out), (3, ""), "{error}");
    assert_eq!(first.stop().await, 0);

    fs::write(&config, "[server]\nlisen = 1").unwrap();
    let output = run(&["serve", "--config", path]);
    let (code, _, error) = parts(&output);
    assert_eq!(code, 2);
    assert!(
        error.starts_with(&format!("error: {path}:2: server.lisen: unknown field")),
        "{error}"
    );
}

/// Returns a sandbox with this fault in every create, and the number of its creates so far.
fn sandbox_with(fault: Fault) -> (Sandbox, watch::Receiver<usize>) {
    let (sender, creates) = watch::channel(0);
    let sandbox = sandbox().faults_by(move |_, head| {
        head.uri.path().ends_with("/actor_tokens").then(|| {
            sender.send_modify(|count| *count += 1);
            fault.clone()
        })
    });
    (sandbox, creates)
}

#[tokio::test]
async fn sigterm_lets_the_call_in_flight_finish_and_exits_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, mut creates) = sandbox_with(Fault::DelayAfter(Duration::from_secs(1)));
    let clerk = sandbox.spawn().await.unwrap();
    let mut gateway = Running::serve(&write_config(folder.path(), &clerk.base_url().to_string()));
    let address = gateway.printed("gateway ").await;
    let call = tokio::spawn(async move {
        let token = client(&address, WIRE_KEY).create(create()).await?;
        token.expose_url();
        Ok::<_, clerk_actor_tokens::Error>(token)
    });
    creates.wait_for(|count| *count == 1).await.unwrap();
    gateway.signal("-TERM");
    let token = call.await.unwrap().unwrap();
    assert_eq!(gateway.ended().await, 0);
    // `on_shutdown` is `revoke` by default.
    let ledger = sandbox.ledger();
    assert!(ledger.revoked().any(|it| it.id() == token.id()));
    assert_eq!(ledger.pending().count(), 0);
}

/// Every write to this file fails, as on a full disk.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn gateway_whose_log_cannot_be_written_serves_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox();
    let clerk = sandbox.spawn().await.unwrap();
    let config = write_config(folder.path(), &clerk.base_url().to_string());
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let args = ["serve", "--config", config.to_str().unwrap()];
    let mut gateway = Running::start_with(&args, full.into());
    let address = gateway.printed("gateway ").await;
    let token = client(&address, WIRE_KEY).create(create()).await.unwrap();
    token.expose_url();
    gateway.signal("-TERM");
    assert_eq!(gateway.ended().await, 0);
}

#[tokio::test]
async fn sigterm_exits_with_1_if_a_lease_could_not_be_ended() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox();
    let clerk = sandbox.spawn().await.unwrap();
    let mut gateway = Running::serve(&write_config(folder.path(), &clerk.base_url().to_string()));
    let address = gateway.printed("gateway ").await;
    let token = client(&address, WIRE_KEY).create(create()).await.unwrap();
    token.expose_url();
    drop(clerk);
    gateway.signal("-TERM");
    assert_eq!(gateway.ended().await, 1);
    assert_eq!(sandbox.ledger().pending().count(), 1);
    gateway
        .logged("stopped, but not everything was settled")
        .await;
}

#[tokio::test]
async fn second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, mut creates) = sandbox_with(Fault::HangAfter);
    let clerk = sandbox.spawn().await.unwrap();
    let mut gateway = Running::serve(&write_config(folder.path(), &clerk.base_url().to_string()));
    let address = gateway.printed("gateway ").await;
    let call =
        tokio::spawn(async move { client(&address, WIRE_KEY).create(create()).await.map(drop) });
    creates.wait_for(|count| *count == 1).await.unwrap();
    gateway.signal("-TERM");
    gateway.logged("stopping: new calls are refused").await;
    gateway.signal("-INT");
    assert_eq!(gateway.ended().await, 1);
    gateway.logged("stopped at once").await;
    assert!(call.await.unwrap().is_err());
}

#[tokio::test]
async fn sighup_replaces_the_policy_and_an_invalid_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox();
    let clerk = sandbox.spawn().await.unwrap();
    let config = write_config(folder.path(), &clerk.base_url().to_string());
    let mut gateway = Running::serve(&config);
    let address = gateway.printed("gateway ").await;
    let client = client(&address, WIRE_KEY);
    assert!(client.create(create()).await.is_ok());

    let text = fs::read_to_string(&config).unwrap();
    let second = text
        .replace("version = \"first\"", "version = \"second\"")
        .replace("user_ceo", "user_subject")
        .replace("drain = 1", "drain = 2");
    fs::write(&config, &second).unwrap();
    gateway.signal("-HUP");
    let line = gateway.logged("read the configuration again").await;
    assert!(line.contains("second"), "{line}");
    gateway
        .logged("[server] has changed, which needs a restart")
        .await;
    let denied = client.create(create()).await.unwrap_err();
    assert_eq!(
        (denied.kind(), denied.status().map(|it| it.as_u16())),
        (ErrorKind::Api, Some(403))
    );

    fs::write(&config, second.replace("[keys]", "[kesy]")).unwrap();
    gateway.signal("-HUP");
    let line = gateway.logged("kept the old configuration").await;
    assert!(line.contains("kesy: unknown field"), "{line}");
    assert!(client.create(create()).await.is_err());
    let other = CreateActorToken::new("user_other", Actor::new("user_admin"));
    assert!(client.create(other).await.is_ok());
    assert_eq!(gateway.stop().await, 0);
}
