//! Stacks that the types exclude do not compile, and the compiler's message says why.

/// The compiler that the expected messages were recorded with; others word them differently.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn stack_that_the_types_exclude_is_refused_with_a_helpful_message() {
    let rustc = std::process::Command::new("rustc")
        .arg("--version")
        .output();
    let version = String::from_utf8(rustc.unwrap().stdout).unwrap();
    if !version.starts_with(RUSTC) {
        eprintln!("skipped: {version} is not {RUSTC}");
        return;
    }
    trybuild::TestCases::new().compile_fail("cases/*.rs");
}
