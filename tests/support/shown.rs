//! The texts of an error.

use std::error::Error;

/// Returns `Display` and `Debug` of an error and of all its sources.
pub(crate) fn shown(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text += &format!("{error} {error:?} {error:#?}\n");
        next = error.source();
    }
    text
}
