//! Every example succeeds, and logs no secret at any level.

mod support {
    pub(crate) mod search;
}

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use support::search::Forms;

/// Returns the command of an example. `cargo test` builds the examples, unless `--test` is given.
fn example(name: &str) -> Command {
    let test = env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let program = target.join("examples").join(name);
    let program = program.with_extension(env::consts::EXE_EXTENSION);
    assert!(program.exists(), "`cargo build --examples` builds {name}");
    let mut command = Command::new(program);
    command.env("RUST_LOG", "trace");
    command.env_remove("CLERK_SECRET_KEY");
    command.env_remove("GATEWAY_KEY");
    command
}

/// Runs an example to its end, and returns its output.
fn run(command: &mut Command) -> String {
    let ran = command.output().unwrap();
    let (out, err) = (ran.stdout, ran.stderr);
    let output = String::from_utf8([out, err].concat()).unwrap();
    assert!(ran.status.success(), "{output}");
    output
}

/// Returns the secret of the sandbox that a text shows: its key, or the beginning of a ticket.
fn secret_in(text: &str) -> Option<String> {
    let form = Forms::of("test_sandbox").form_in(text);
    let of_ticket = ["=eyJ", "\"eyJ", " eyJ", ".eyJ", "ZXlK", "65794a"];
    let ticket = of_ticket.iter().find(|begin| text.contains(**begin));
    form.map(|form| format!("the key {form}"))
        .or(ticket.map(|begin| format!("a ticket: {begin}")))
}

#[track_caller]
fn assert_silent(output: &str) {
    assert_eq!(secret_in(output), None, "{output}");
}

#[test]
fn no_example_shows_a_secret() {
    let soak = &["--calls", "100"][..];
    let (of_call, of_tls) = ("call{otel.name=", "DEBUG rustls");
    for (name, args, logged) in [
        ("quickstart", &[][..], of_tls),
        ("custom_layer", &[], of_call),
        ("gateway", &[], of_tls),
        ("hand_built_stack", &[], of_call),
        ("soak", soak, of_call),
    ] {
        let output = run(example(name).args(args));
        assert!(output.contains(logged), "{name} logs nothing: {output}");
        assert_silent(&output);
    }
}

#[test]
fn sandbox_prints_its_key_and_no_other_secret() {
    let mut sandbox = example("sandbox");
    let mut sandbox = sandbox
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(sandbox.stdout.take().unwrap());
    let mut setting = || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let (name, value) = line.trim_end().split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    let settings = [setting(), setting()];
    let output = run(example("quickstart").envs(settings.clone()));
    let [(_, base_url), _] = settings;
    assert!(
        output.contains(&format!("talking to {base_url}")),
        "{output}"
    );
    assert_silent(&output);

    sandbox.kill().unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    sandbox
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut rest)
        .unwrap();
    sandbox.wait().unwrap();
    assert_silent(&rest);
}

#[test]
fn search_finds_the_key_and_tickets_of_the_sandbox() {
    for text in [
        "authorization: Bearer sk_test_sandbox",
        "c2tfdGVzdF9zYW5kYm94",
        "QmVhcmVyIHNrX3Rlc3Rfc2FuZGJveA==",
        "736b5f746573745f73616e64626f78",
        "https://x/v1/tickets/accept?ticket=eyJa",
        r#"{"token":"eyJa"}"#,
        "token: eyJa.eyJb.c",
    ] {
        assert!(secret_in(text).is_some(), "{text}");
    }
    assert_silent("https://x/v1/tickets/accept?ticket=[201 characters]");
}

#[test]
fn new_key_is_printed_once_and_a_given_key_never() {
    let key_of = |output: &str| {
        let (_, key) = output.split_once("gateway  key ").unwrap();
        key.lines().next().unwrap().to_owned()
    };
    let output = run(&mut example("gateway"));
    let key = key_of(&output);
    assert_eq!(output.matches(&key).count(), 1, "{output}");
    assert_ne!(key, key_of(&run(&mut example("gateway"))));

    let output = run(example("gateway").env("GATEWAY_KEY", "sk_test_from_the_environment"));
    assert_eq!(
        Forms::of("test_from_the_environment").form_in(&output),
        None,
        "{output}"
    );
}

/// Sends a create to the example's process and returns the first line of the response.
#[cfg(unix)]
fn first_line(mut stream: TcpStream) -> String {
    let body = r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#;
    let request = format!(
        "POST /v1/actor_tokens HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_test_gateway_0123456789\r\n\
         content-type: application/json\r\nx-operator: jo\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[cfg(unix)]
#[test]
fn gateway_serves_again_once_file_descriptors_are_free() {
    let program = example("gateway");
    let limited = r#"ulimit -n 24 && exec "$0" --port 0"#;
    let mut gateway = Command::new("sh")
        .args(["-c", limited])
        .arg(program.get_program())
        .env("GATEWAY_KEY", "sk_test_gateway_0123456789")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(gateway.stdout.take().unwrap()).lines();
    let mut line_with = |text: &str| {
        let mut lines = lines.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains(text)).unwrap()
    };
    let line = line_with("http://");
    let addr = line
        .split(['/', ' '])
        .find(|it| it.starts_with("127."))
        .unwrap();
    let connect = || TcpStream::connect(addr).unwrap();

    let connections: Vec<_> = (0..24).map(|_| connect()).collect();
    line_with("could not accept a connection");
    drop(connections);
    assert!(first_line(connect()).starts_with("HTTP/1.1 200 OK"));

    // An interrupt ends it even with a kept connection.
    let _kept = connect();
    let interrupt = Command::new("kill")
        .args(["-INT", &gateway.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    line_with("settled");
    assert!(gateway.wait().unwrap().success());
}
