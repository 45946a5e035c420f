//! The demo.

use super::*;

#[tokio::test]
async fn demo_creates_a_token_with_the_printed_key_and_ends_it_with_the_printed_token() {
    let mut demo = Running::start(&["--port", "0"]);
    let address = demo.printed("gateway").await;
    demo.printed("ops").await;
    let key = demo.printed("wire key").await;
    let operator = demo.printed("operator").await;
    let files = demo.printed("files").await;
    let curl = demo.printed("curl").await;
    let folder = PathBuf::from(files.strip_suffix(" (removed at exit)").unwrap());
    let mode = fs::metadata(folder.join("wire.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let token = client(&address, &key).create(create()).await.unwrap();
    assert!(token.expose_url().is_some());

    // The curl line, by hand.
    let quoted: Vec<_> = curl.split('\'').skip(1).step_by(2).collect();
    let host = address.strip_prefix("http://").unwrap();
    assert!(
        curl.contains(&format!(" {address}/v1/actor_tokens ")),
        "{curl}"
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "POST /v1/actor_tokens HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{}\r\n{}\r\ncontent-length: {}\r\n\r\n{}",
        quoted[0],
        quoted[1],
        quoted[2].len(),
        quoted[2]
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");

    let end = |token: &str| {
        let args = ["end", "--url", &address, "--subject", "user_subject"];
        program()
            .args(args)
            .env("GATEWAY_TOKEN", token)
            .output()
            .unwrap()
    };
    let refused = end("gwop_guessed");
    assert_eq!(refused.status.code(), Some(3));
    let operator = operator.strip_prefix("demo, with the token ").unwrap();
    let ended = end(operator);
    let (code, out, error) = parts(&ended);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains(&format!("{}  revoked  ", token.id())), "{out}");
    assert!(out.ends_with("ended 2, still live 0\n"), "{out}");

    demo.signal("-TERM");
    assert_eq!(demo.ended().await, 0);
    assert!(!folder.exists());
    while let Some(line) = demo.stderr.recv().await {
        for secret in [&*key, operator, "ticket="] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[tokio::test]
async fn demo_with_a_folder_keeps_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("demo");
    let args = ["serve", "--port", "0", "--data", data.to_str().unwrap()];
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut demo = Running::start(&args);
        let address = demo.printed("gateway").await;
        let key = demo.printed("wire key").await;
        let token = client(&address, &key).create(create()).await.unwrap();
        client(&address, &key).revoke(token.id()).await.unwrap();
        keys.push(key);
        assert_eq!(demo.stop().await, 0);
    }
    assert_eq!(keys[0], keys[1]);
    let file = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let verified = run(&[
        "audit",
        "verify",
        "--anchors",
        &file("anchors.jsonl"),
        &file("audit.sqlite"),
    ]);
    let (code, out, error) = parts(&verified);
    assert_eq!(code, 0, "{error}");
    assert!(out.starts_with("intact: "), "{out}");
    // The sandbox's key stands in for Clerk's.
    let checked = program()
        .args([
            "check",
            "--config",
            &file("gateway.toml"),
            "--operator",
            "demo",
            "--subject",
            "user_2",
        ])
        .args(["--reason", "ticket 4711"])
        .env("CLERK_SECRET_KEY", CLERK_KEY)
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

#[tokio::test]
async fn log_lines_are_json_if_asked() {
    let mut demo = Running::start(&["--port", "0", "--log-format", "json"]);
    demo.printed("gateway").await;
    let line: serde_json::Value = serde_json::from_str(&demo.logged("serving").await).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["fields"]["policy"], "demo");
    assert_eq!(demo.stop().await, 0);
}
