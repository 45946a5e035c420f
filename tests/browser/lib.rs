//! Goes through the gateway’s console with Chromium: see `tests/console.rs`.
