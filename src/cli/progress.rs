//! A progress bar on a terminal, and Ctrl-C as a flag.

use super::file;
use crate::sim::watch::Watch;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C (and SIGTERM) asks long work to end; a second one ends the program at once.
pub(super) fn catch_interrupts() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            file::remove_unfinished();
            std::process::exit(130);
        }
    })
}

/// Was Ctrl-C pressed?
pub(super) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Shows how far one piece of work is, on stderr and only on a terminal; gone when dropped.
pub(super) struct Bar {
    label: &'static str,
    bar: OnceLock<ProgressBar>,
}

impl Bar {
    pub(super) const fn new(label: &'static str) -> Self {
        Self { label, bar: OnceLock::new() }
    }

    fn start(&self, total: u64) -> ProgressBar {
        let bar =
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} %, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(self.label);
        bar
    }
}

impl Watch for Bar {
    fn advanced(&self, done: u64, total: u64) {
        self.bar.get_or_init(|| self.start(total)).set_position(done);
    }

    fn cancelled(&self) -> bool {
        interrupted()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
