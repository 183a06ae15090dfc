//! Shows progress on the terminal, in one line for everything that is fetched: items, bytes, time left, and what is being fetched.
//! Hidden if standard error is not a terminal.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use git_hexmirror::progress::{Event, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{CHANGED, Output, Text, bytes, styled};
use crate::text::escaped;

/// How many of the current downloads are named.
const NAMED: usize = 2;
/// How often the line is drawn again without an event. indicatif skips events that follow each other quickly, so the last one
/// before a long wait would not be shown.
const TICK: Duration = Duration::from_millis(100);

pub struct Bars {
    bar: ProgressBar,
    received: ProgressBar,
    output: Output,
    /// What is being fetched, the oldest first: what takes long stays visible.
    current: Mutex<Vec<String>>,
    ticker: Mutex<Option<Ticker>>,
}

impl Bars {
    pub fn new(output: &Output) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        bar.set_style(style("{bar:24.cyan} {pos}/{len}{prefix}  {wide_msg:.dim}"));
        Self {
            bar,
            received: ProgressBar::hidden(),
            output: *output,
            current: Mutex::default(),
            ticker: Mutex::default(),
        }
    }

    fn shown(&self) -> bool {
        self.output.interactive && !self.output.quiet
    }

    fn line(&self, line: Text) {
        self.bar.suspend(|| self.output.say(line));
    }

    /// Changes what is being fetched.
    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut current);
        self.bar.set_message(named(&current));
    }

    fn show(&self) {
        let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
        if ticker.is_none() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            *ticker = Ticker::start(self.bar.clone());
        }
        self.bar.tick();
    }
}

/// Names the downloads that have taken longest.
fn named(current: &[String]) -> String {
    let mut text = current.iter().take(NAMED).map(|item| escaped(item)).collect::<Vec<_>>().join(", ");
    if current.len() > NAMED {
        text += &format!(" and {} more", current.len() - NAMED);
    }
    text
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}

impl Progress for Bars {
    fn report(&self, event: Event) {
        match event {
            Event::Planned { items } => {
                self.bar.inc_length(items);
                if self.shown() {
                    self.show();
                }
            }
            Event::Started { item } => self.change(|current| current.push(item)),
            Event::Stopped { item } => self.change(|current| {
                if let Some(index) = current.iter().position(|other| *other == item) {
                    current.remove(index);
                }
            }),
            Event::Received { bytes: number } => {
                self.received.inc(number);
                self.bar.set_prefix(format!(" · {}", bytes(self.received.position())));
            }
            Event::Finished { .. } => {
                // The remaining time is unknown until the first item is done.
                if self.bar.position() == 0 {
                    self.bar.set_style(style("{bar:24.cyan} {pos}/{len}{prefix} · {eta} left  {wide_msg:.dim}"));
                }
                self.bar.inc(1);
            }
            Event::Retrying { item, reason, after } => {
                let seconds = after.as_secs_f64();
                self.line(styled(CHANGED, "retrying:") + format!(" {item} in {seconds:.1} s: {reason}"));
            }
            Event::Large { item, bytes: number } => {
                self.line(styled(CHANGED, "large download:") + format!(" {item} ({})", bytes(number)));
            }
            Event::Waiting { reason } => self.line(styled(CHANGED, "waiting for") + format!(" {reason}")),
            Event::Warning { message } => self.line(styled(CHANGED, "warning:") + format!(" {message}")),
            _ => {}
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // The thread must not draw the line again.
        drop(self.ticker.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        self.bar.finish_and_clear();
    }
}

/// A thread that draws the line again from time to time. indicatif has one too, but panics if the system has no thread left.
struct Ticker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Returns `None` if the system has no thread left.
    fn start(bar: ProgressBar) -> Option<Self> {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            while matches!(stopped.recv_timeout(TICK), Err(RecvTimeoutError::Timeout)) {
                bar.tick();
            }
        };
        let thread = thread::Builder::new().spawn(work).ok()?;
        Some(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn the_oldest_downloads_are_named() {
        let items = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (current, expected) in [
            (&[][..], ""),
            (&["a 1.0.0"], "a 1.0.0"),
            (&["a", "git h/x", "c", "d"], "a, git h/x and 2 more"),
            (&["a\u{1b}[2J"], "a\\u{1b}[2J"),
        ] {
            assert_eq!(named(&items(current)), expected);
        }
    }
}
