//! Searches everything that a test binary says of itself for a marker that stands in every secret.
//!
//! From [`begin`] on, for the whole process: every span and event of every crate at every level, the
//! records of those that log by `log`, and the messages of panics. Only what shows the marker is kept.

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

/// More than anybody reads; what comes after them is not kept.
const ENOUGH: usize = 1000;

static LEAKS: Mutex<Vec<(ThreadId, Leak)>> = Mutex::new(Vec::new());
static HEARD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Something that shows the marker.
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

/// Listens from now on.
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

/// Runs something on this thread, and tells what showed the marker meanwhile.
pub(crate) fn during<T>(run: impl FnOnce() -> T) -> (T, Vec<Leak>) {
    begin();
    let (own, before) = (thread::current().id(), take(thread::current().id()));
    let result = run();
    let leaks = take(own);
    // What showed before belongs to somebody else.
    lock(&LEAKS).extend(before.into_iter().map(|leak| (own, leak)));
    (result, leaks)
}

/// What showed the marker and was told to nobody yet, on whatever thread.
pub(crate) fn untold() -> Vec<Leak> {
    let leaks = lock(&LEAKS);
    leaks.iter().map(|(_, leak)| leak.clone()).collect()
}

/// Which crates said something.
pub(crate) fn heard() -> BTreeSet<String> {
    lock(&HEARD).clone()
}

/// Searches a text, as if it had been logged.
pub(crate) fn search(text: &str) {
    if let Some(form) = forms::form_in(text) {
        let mut leaks = lock(&LEAKS);
        if leaks.len() < ENOUGH {
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
    let mut heard = lock(&HEARD);
    if !heard.contains(name) {
        heard.insert(name.to_owned());
    }
}

/// Whoever panicked while holding it did no harm to what it holds.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
