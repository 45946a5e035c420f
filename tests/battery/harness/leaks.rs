//! The search for secrets in the logs of a row.

use crate::search;

/// Runs a check, which fails if a secret is logged meanwhile.
pub(crate) fn without_leaks(check: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let (checked, leaks) = search::during(check);
    checked?;
    match leaks.first() {
        None => Ok(()),
        Some(leak) => Err(format!("{leak:?} ({} in all)", leaks.len())),
    }
}
