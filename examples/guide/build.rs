//! Takes from the pages what `cargo test --doc` cannot compile or run: tests, the protocol of tonic's page,
//! and the gateway with its policy.

use std::{env, error::Error, fmt::Write, fs, path::Path};

/// Returns the code blocks of a page in this language.
fn blocks(page: &str, language: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let path = format!("../../docs/guide/{page}.md");
    println!("cargo::rerun-if-changed={path}");
    let text = fs::read_to_string(path)?;
    let begin = format!("\n```{language}\n");
    let blocks = text.split(&begin).skip(1);
    let code = blocks.filter_map(|block| block.split_once("\n```"));
    Ok(code.map(|(code, _)| code.to_owned()).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);

    let mut tests = String::new();
    for (number, block) in blocks("testing", "rust")?.iter().enumerate() {
        writeln!(tests, "mod block_{number} {{\n{block}\n}}")?;
    }
    fs::write(out.join("testing.rs"), tests)?;

    fs::write(
        out.join("gateway.rs"),
        blocks("gateway", "rust,no_run")?.concat(),
    )?;
    fs::write(out.join("policy.toml"), blocks("gateway", "toml")?.concat())?;

    fs::write(out.join("desk.proto"), blocks("tonic", "proto")?.concat())?;
    tonic_prost_build::compile_fds(protox::compile(["desk.proto"], [out])?)?;
    Ok(())
}
