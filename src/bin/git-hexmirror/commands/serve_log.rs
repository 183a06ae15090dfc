//! The log of `serve`: notices, requests, and what the mirror could not answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use git_hexmirror::serve::{Log, RequestLog, Unanswered};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::output::{BAD, CHANGED, Output, Text, styled};
use crate::text::escaped_json;

/// How many failed requests a server names.
const MAX_NAMED: usize = 1000;

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            500.. => Self::Error,
            400.. => Self::Warning,
            _ => Self::Info,
        }
    }
}

/// Writes the log of `serve`.
#[derive(Debug, Clone, Copy)]
pub struct ServeLog {
    output: Output,
    format: LogFormat,
}

impl ServeLog {
    pub fn new(output: Output, format: LogFormat) -> Self {
        Self { output, format }
    }

    /// Says something about the server itself, unless the user passed --quiet.
    pub fn notice(&self, level: Level, message: impl Into<Text>) {
        let message = message.into();
        match self.format {
            LogFormat::Text if level == Level::Info => self.output.say(message),
            LogFormat::Text => self.output.say(styled(CHANGED, level.name()) + ": " + message),
            LogFormat::Json => self.output.say(line(json!({
                "time": now(), "level": level.name(), "message": message.plain(),
            }))),
        }
    }

    /// Says something that happens while the server runs, with the time, unless the user passed --quiet.
    pub fn event(&self, level: Level, message: impl Into<Text>) {
        match self.format {
            LogFormat::Json => self.notice(level, message),
            LogFormat::Text if level == Level::Info => self.output.say(Text::from(now()) + " " + message.into()),
            LogFormat::Text => {
                self.output.say(Text::from(now()) + " " + styled(CHANGED, level.name()) + ": " + message.into());
            }
        }
    }

    /// Returns what logs requests: each one with --verbose, else what the mirror could not answer, once.
    pub fn requests(self) -> Log {
        if self.output.verbose { Arc::new(move |request: &RequestLog| self.request(request)) } else { self.failures() }
    }

    fn request(&self, request: &RequestLog) {
        if request.is_quiet() {
            return;
        }
        self.output.always(match self.format {
            LogFormat::Text => Text::from(now()) + " " + described(request),
            LogFormat::Json => line(document(request)),
        });
    }

    fn failures(self) -> Log {
        let named = Mutex::new(HashSet::new());
        Arc::new(move |request: &RequestLog| {
            let Some(message) = failure(request) else { return };
            let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
            if named.len() < MAX_NAMED && named.insert(message.clone()) {
                self.failure(Level::of_status(request.status), &message);
                if named.len() == MAX_NAMED {
                    let more = "further requests that fail are not named; run with --verbose to log all of them";
                    self.failure(Level::Warning, more);
                }
            }
        })
    }

    fn failure(&self, level: Level, message: &str) {
        match self.format {
            LogFormat::Text => self.output.say(format!("{} {message}", now())),
            LogFormat::Json => self.notice(level, message),
        }
    }
}

/// Returns a function that prints each request, with --verbose.
pub fn request_log(output: &Output) -> Option<Log> {
    let output = *output;
    output.verbose.then(|| Arc::new(move |request: &RequestLog| output.always(described(request))) as Log)
}

/// Describes a request that the server could not answer, with what would fix it.
fn failure(request: &RequestLog) -> Option<String> {
    match &request.unanswered {
        Some(other @ Unanswered::NotServed { .. }) => Some(other.to_string()),
        Some(_) => request.error.clone(),
        None => request.error.clone().filter(|_| request.status >= 500),
    }
}

fn described(request: &RequestLog) -> Text {
    let RequestLog { peer, method, path, status, bytes, error, .. } = request;
    let error = error.as_ref().map_or_else(Text::default, |error| Text::from(" ") + styled(BAD, error.trim()));
    Text::from(format!("{peer} {method} {path} {status} {bytes} {:.1}ms", milliseconds(request))) + error
}

fn document(request: &RequestLog) -> Value {
    let RequestLog { peer, method, path, status, bytes, error, .. } = request;
    json!({
        "time": now(),
        "level": Level::of_status(*status).name(),
        "message": format!("{method} {path} {status}"),
        "peer": peer.to_string(),
        "method": method,
        "path": path,
        "status": status,
        "bytes": bytes,
        "milliseconds": milliseconds(request),
        "error": error.as_ref().map(|error| error.trim()),
    })
}

fn milliseconds(request: &RequestLog) -> f64 {
    (request.elapsed.as_secs_f64() * 10_000.0).round() / 10.0
}

fn line(document: Value) -> Text {
    Text::rendered(escaped_json(&document.to_string()))
}

/// Returns the current time, as RFC 3339 has it, in UTC.
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
