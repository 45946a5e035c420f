//! The tests of the page about testing, each block in a module of its own.

include!(concat!(env!("OUT_DIR"), "/testing.rs"));
