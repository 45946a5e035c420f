//! Every example ends well, and lets out no secret with everything logged.

mod support {
    pub(crate) mod search;
}

use std::{
    env,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

use support::search::Forms;

/// An example beside this test. `cargo test` builds them with it, unless it is told `--test`.
fn example(name: &str) -> Command {
    let test = env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let program = target.join("examples").join(name);
    let program = program.with_extension(env::consts::EXE_EXTENSION);
    assert!(program.exists(), "`cargo build --examples` builds {name}");
    let mut command = Command::new(program);
    command.env("RUST_LOG", "trace");
    command.env_remove("CLERK_SECRET_KEY");
    command
}

/// Runs an example to its end, and tells all that it wrote.
fn run(command: &mut Command) -> String {
    let ran = command.output().unwrap();
    let (out, err) = (ran.stdout, ran.stderr);
    let told = String::from_utf8([out, err].concat()).unwrap();
    assert!(ran.status.success(), "{told}");
    told
}

/// Which secret of the sandbox a text shows: its key, or the beginning of a ticket.
fn secret_in(text: &str) -> Option<String> {
    let form = Forms::of("test_sandbox").form_in(text);
    let of_ticket = ["=eyJ", "\"eyJ", " eyJ", ".eyJ", "ZXlK", "65794a"];
    let ticket = of_ticket.iter().find(|begin| text.contains(**begin));
    form.map(|form| format!("the key {form}"))
        .or(ticket.map(|begin| format!("a ticket: {begin}")))
}

#[track_caller]
fn assert_silent(told: &str) {
    assert_eq!(secret_in(told), None, "{told}");
}

#[test]
fn no_example_shows_a_secret() {
    let soak = &["--calls", "100"][..];
    for (name, args) in [
        ("quickstart", &[][..]),
        ("custom_layer", &[]),
        ("gateway", &[]),
        ("hand_built_stack", &[]),
        ("soak", soak),
    ] {
        let told = run(example(name).args(args));
        assert!(
            told.contains("call{otel.name="),
            "{name} logs nothing: {told}"
        );
        assert_silent(&told);
    }
}

#[test]
fn the_sandbox_shows_its_key_where_it_is_asked_to_and_nothing_else() {
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
    let told = run(example("quickstart").envs(settings.clone()));
    let [(_, base_url), _] = settings;
    assert!(told.contains(&format!("talking to {base_url}")), "{told}");
    assert_silent(&told);

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
fn a_secret_of_the_sandbox_is_found() {
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
