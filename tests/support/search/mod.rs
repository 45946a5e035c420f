//! Searches the logs of a test process for a marker that every secret contains.
//!
//! After [`begin`] this includes spans and events of every crate at every level, records of the crate `log`
//! and panic messages.

#![allow(dead_code, unused_imports, reason = "no test binary needs all of it")]

mod forms;
mod listener;

use std::{
    collections::BTreeSet,
    fmt, panic,
    sync::{Mutex, Once},
    thread::{self, ThreadId},
};

pub(crate) use forms::{Forms, MARKER, base64, form_in};

/// Further leaks are not kept.
const MAX_LEAKS: usize = 1000;

static LEAKS: Mutex<Vec<(ThreadId, Leak)>> = Mutex::new(Vec::new());
static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A text that contains the marker.
#[derive(Clone)]
pub(crate) struct Leak {
    form: &'static str,
    text: String,
}

impl fmt::Debug for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a secret shows, {}: {}", self.form, self.text)
    }
}

/// Installs the search in this process.
pub(crate) fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let builder = tracing_log::LogTracer::builder();
        let builder = builder.with_max_level(log::LevelFilter::Trace);
        builder.init().expect("the first logger");
        tracing::subscriber::set_global_default(listener::Listener::default())
            .expect("the first subscriber");
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            search(&panic.to_string());
            previous(panic);
        }));
    });
}

/// Runs a function, and returns the leaks of this thread during that time.
pub(crate) fn during<T>(run: impl FnOnce() -> T) -> (T, Vec<Leak>) {
    begin();
    let (own, before) = (thread::current().id(), take(thread::current().id()));
    let result = run();
    let leaks = take(own);
    // Earlier leaks stay unclaimed.
    lock(&LEAKS).extend(before.into_iter().map(|leak| (own, leak)));
    (result, leaks)
}

/// Returns the leaks of all threads that [`during`] has not returned.
pub(crate) fn unclaimed() -> Vec<Leak> {
    let leaks = lock(&LEAKS);
    leaks.iter().map(|(_, leak)| leak.clone()).collect()
}

/// Returns the crates that have logged.
pub(crate) fn logging_crates() -> BTreeSet<String> {
    lock(&LOGGED).clone()
}

/// Searches a text that is logged.
pub(crate) fn search(text: &str) {
    if let Some(form) = forms::form_in(text) {
        let mut leaks = lock(&LEAKS);
        if leaks.len() < MAX_LEAKS {
            let text = text.chars().take(1000).collect();
            leaks.push((thread::current().id(), Leak { form, text }));
        }
    }
}

fn take(thread: ThreadId) -> Vec<Leak> {
    let mut leaks = lock(&LEAKS);
    let (taken, left) = leaks.drain(..).partition(|(of, _)| *of == thread);
    *leaks = left;
    let taken: Vec<(ThreadId, Leak)> = taken;
    taken.into_iter().map(|(_, leak)| leak).collect()
}

fn note_crate(target: &str) {
    let name = target.split("::").next().unwrap_or(target);
    let mut logged = lock(&LOGGED);
    if !logged.contains(name) {
        logged.insert(name.to_owned());
    }
}

/// Ignores poisoning, because a panic leaves the data consistent.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
