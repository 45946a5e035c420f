//! The text of configurations.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Returns the sections that every gateway of a test has. `secret_key` is where the key of the API is.
pub(crate) fn config(folder: &Path, api_url: &str, secret_key: &str) -> String {
    let (database, anchors) = (database(folder), folder.join("anchors"));
    format!(
        r#"
[clerk]
api_url = "{api_url}"
secret_key = {secret_key}

[storage]
database = "{}"
anchors = "{}"

[policy]
version = "test"
lifetime = {{ default = 300, longest = 900 }}
session = {{ default = 600, longest = 1800 }}
"#,
        database.display(),
        anchors.display()
    )
}

/// Returns the path of the database.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("gateway.db")
}

/// Returns the section of an operator.
pub(crate) fn operator(name: &str, token: &str, roles: &[&str]) -> String {
    let hash = hex::encode(Sha256::digest(token));
    format!("\n[operators.{name}]\ntoken_sha256 = \"{hash}\"\nroles = {roles:?}\n")
}
