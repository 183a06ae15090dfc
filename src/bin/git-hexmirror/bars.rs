//! Shows progress on the terminal: items, bytes, time left. Hidden if standard error is not a terminal.

use git_hexmirror::progress::{Event, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{CHANGED, Output, Text, bytes, styled};

pub struct Bars {
    bar: ProgressBar,
    received: ProgressBar,
    output: Output,
}

impl Bars {
    pub fn new(output: &Output) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        bar.set_style(style("{bar:24.cyan} {pos}/{len}{msg}"));
        Self { bar, received: ProgressBar::hidden(), output: *output }
    }

    fn shown(&self) -> bool {
        self.output.interactive && !self.output.quiet
    }

    fn line(&self, line: Text) {
        self.bar.suspend(|| self.output.say(line));
    }
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
                    self.bar.set_draw_target(ProgressDrawTarget::stderr());
                    // Events redraw the bar. indicatif's own thread for that is not used: indicatif panics if the system has
                    // no thread left.
                    self.bar.tick();
                }
            }
            Event::Received { bytes: number } => {
                self.received.inc(number);
                self.bar.set_message(format!(" · {}", bytes(self.received.position())));
            }
            Event::Finished { .. } => {
                // The remaining time is unknown until the first item is done.
                if self.bar.position() == 0 {
                    self.bar.set_style(style("{bar:24.cyan} {pos}/{len}{msg} · {eta} left"));
                }
                self.bar.inc(1);
            }
            Event::Retrying { item, reason, after } => {
                let seconds = after.as_secs_f64();
                self.line(styled(CHANGED, "retrying:") + format!(" {item} in {seconds:.1} s: {reason}"));
            }
            Event::Waiting { reason } => self.line(styled(CHANGED, "waiting for") + format!(" {reason}")),
            Event::Warning { message } => self.line(styled(CHANGED, "warning:") + format!(" {message}")),
            _ => {}
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
