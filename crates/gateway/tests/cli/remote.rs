//! Subcommands at a running gateway, and over its audit.

use super::*;

#[tokio::test]
async fn pause_refuses_creates_until_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let clerk = sandbox().spawn().await.unwrap();
    let mut gateway = Running::serve(&write_config(folder.path(), &clerk.base_url().to_string()));
    let address = gateway.printed("gateway ").await;
    let client = client(&address, WIRE_KEY);
    let pause = |args: &[&str]| {
        let pause = ["pause", "--url", &address];
        program()
            .args(pause)
            .args(args)
            .env("GATEWAY_TOKEN", OPERATOR_TOKEN)
            .output()
            .unwrap()
    };
    let paused = pause(&["--reason", "incident 4711"]);
    assert_eq!(parts(&paused), (0, "paused: creates are refused\n", ""));
    assert_eq!(
        client
            .create(create())
            .await
            .unwrap_err()
            .status()
            .map(|it| it.as_u16()),
        Some(503)
    );
    let resumed = pause(&["--resume"]);
    assert_eq!(parts(&resumed), (0, "resumed: creates are accepted\n", ""));
    assert!(client.create(create()).await.is_ok());
    assert_eq!(gateway.stop().await, 0);
}

#[test]
fn remote_commands_send_their_token_over_tls_or_loopback_only() {
    let output = program()
        .args(["pause", "--url", "http://gateway.internal:4020"])
        .output()
        .unwrap();
    let (code, _, error) = parts(&output);
    assert_eq!(code, 2);
    assert!(
        error.contains("the base URL must start with https://"),
        "{error}"
    );

    let output = program()
        .args(["end", "--actor", "user_1"])
        .output()
        .unwrap();
    let (code, _, error) = parts(&output);
    assert_eq!(code, 2);
    assert!(
        error.starts_with("error: GATEWAY_TOKEN is not set"),
        "{error}"
    );

    let output = program()
        .args(["end", "--actor", "user_1", "--url", "http://127.0.0.1:1"])
        .env("GATEWAY_TOKEN", OPERATOR_TOKEN)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));

    for which in [
        &["end"][..],
        &["end", "--actor", "a", "--subject", "b"],
        &["end", "--since", "yesterday"],
    ] {
        assert_eq!(run(which).status.code(), Some(2), "{which:?}");
    }
}

/// A certificate authority, with a certificate of it for this host, as PEM: the authority, the certificate, its key.
fn certificates() -> [String; 3] {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    [authority.pem(), certificate.pem(), key.serialize_pem()]
}

#[tokio::test]
async fn remote_command_presents_a_certificate_and_sighup_renews_the_gateways() {
    let folder = tempfile::tempdir().unwrap();
    let clerk = sandbox().spawn().await.unwrap();
    let config = write_config(folder.path(), &clerk.base_url().to_string());
    let tls = "[server.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nclient_ca = \"callers.pem\"\n";
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("[clerk]", &format!("{tls}\n[clerk]"))).unwrap();
    let write = |name: &str, pem: &str| fs::write(folder.path().join(name), pem).unwrap();
    let renew = |authority: &str| {
        let [ca, certificate, key] = certificates();
        write(authority, &ca);
        write("cert.pem", &certificate);
        write("key.pem", &key);
    };
    let [callers, certificate, key] = certificates();
    write("callers.pem", &callers);
    write("caller.pem", &(certificate + &key));
    renew("first.pem");

    let mut gateway = Running::serve(&config);
    let address = gateway.printed("gateway ").await;
    assert!(address.starts_with("https://127.0.0.1:"), "{address}");
    let resume = |authority: &str, caller: Option<&str>| {
        let mut program = program();
        program.args(["pause", "--resume", "--url", &address, "--ca"]);
        program.arg(folder.path().join(authority));
        if let Some(caller) = caller {
            program.arg("--client-cert").arg(folder.path().join(caller));
        }
        let output = program
            .env("GATEWAY_TOKEN", OPERATOR_TOKEN)
            .output()
            .unwrap();
        output.status.code().unwrap()
    };
    assert_eq!(resume("first.pem", Some("caller.pem")), 0);
    assert_eq!(resume("first.pem", None), 3);
    assert_eq!(resume("callers.pem", Some("caller.pem")), 3);

    renew("second.pem");
    assert_eq!(resume("first.pem", Some("caller.pem")), 0);
    gateway.signal("-HUP");
    gateway.logged("read the configuration again").await;
    assert_eq!(resume("second.pem", Some("caller.pem")), 0);
    assert_eq!(resume("first.pem", Some("caller.pem")), 3);

    write("key.pem", &key);
    gateway.signal("-HUP");
    let line = gateway.logged("kept the old configuration").await;
    assert!(line.contains("could not use the certificate"), "{line}");
    assert_eq!(resume("second.pem", Some("caller.pem")), 0);
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn audit_verify_exits_with_1_if_a_record_was_altered() {
    let folder = tempfile::tempdir().unwrap();
    let clerk = sandbox().spawn().await.unwrap();
    let config = write_config(folder.path(), &clerk.base_url().to_string());
    let mut gateway = Running::serve(&config);
    let address = gateway.printed("gateway ").await;
    assert!(client(&address, WIRE_KEY).create(create()).await.is_ok());
    let database = folder.path().join("audit.sqlite");
    let database = database.to_str().unwrap();
    // While it runs.
    let exported = run(&["audit", "export", database]);
    let (code, out, _) = parts(&exported);
    assert_eq!(code, 0);
    assert!(
        out.lines()
            .any(|line| line.contains("\"subject\":\"user_subject\"")),
        "{out}"
    );
    let file = folder.path().join("export.jsonl");
    let to_file = run(&[
        "audit",
        "export",
        "--since",
        "1h",
        "--output",
        file.to_str().unwrap(),
        database,
    ]);
    assert_eq!(to_file.status.code(), Some(0));
    assert!(fs::read_to_string(file).unwrap().starts_with(out));
    assert_eq!(run(&["audit", "verify", database]).status.code(), Some(0));
    assert_eq!(gateway.stop().await, 0);

    // The configuration names the database and its anchors, and a gateway that stops writes an anchor.
    let config = config.to_str().unwrap();
    let verified = run(&["audit", "verify", "--config", config]);
    let (code, out, error) = parts(&verified);
    assert_eq!(code, 0, "{error}");
    assert_eq!(out.lines().count(), 1, "all is anchored: {out}");
    for either in [&["--config", config, database][..], &[]] {
        let refused = run(&[&["audit", "export"], either].concat());
        assert_eq!(refused.status.code(), Some(2), "{either:?}");
    }

    let connection = rusqlite::Connection::open(database).unwrap();
    let altered = connection.execute(
        "UPDATE records SET text = replace(text, 'user_subject', 'user_innocent') WHERE event = 'begin'",
        [],
    );
    assert!(altered.unwrap() > 0);
    let verified = run(&["audit", "verify", database]);
    let (code, out, error) = parts(&verified);
    assert_eq!((code, out), (1, ""));
    assert!(error.starts_with("error: record "), "{error}");
    assert_eq!(
        run(&["audit", "verify", "missing.sqlite"]).status.code(),
        Some(3)
    );
}
