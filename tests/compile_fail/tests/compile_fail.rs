//! What does not fit together does not compile, and the compiler says what does not fit.

/// The compiler whose words the expectations were written down from; others word them differently.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn what_does_not_fit_is_refused_in_words_that_help() {
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
