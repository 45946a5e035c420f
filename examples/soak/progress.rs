//! [`Progress`]: a bar on a terminal, ten lines elsewhere.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    calls: u64,
    done: Arc<AtomicU64>,
}

impl Progress {
    pub(crate) fn new(calls: u64) -> Self {
        // Five frames a second, not one a call.
        let target = ProgressDrawTarget::stderr_with_hz(5);
        let bar = ProgressBar::with_draw_target(Some(calls), target);
        let template = "{bar:40} {human_pos} of {human_len} calls, {elapsed} gone, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            calls,
            done: Arc::default(),
        }
    }

    pub(crate) fn advance(&self) {
        self.bar.inc(1);
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.bar.is_hidden() && done % self.calls.div_ceil(10) == 0 {
            eprintln!("{done} of {} calls", self.calls);
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
