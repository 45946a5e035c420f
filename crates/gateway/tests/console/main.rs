//! The console: its pages, and the attempts of an attacker.

mod attacks;
mod flows;
mod roles;
mod sessions;
mod support;
#[path = "../../../../tests/support/wait.rs"]
mod wait;
