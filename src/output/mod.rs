//! The only place that prints: events of a run and the answer of a command, for people or for scripts.
//!
//! People read the answer on stdout and everything else on stderr; a script gets one JSON envelope on stdout
//! and nothing else there. This room decides words, never what is done.

mod envelope;
mod live;
mod plain;
mod style;

use crate::error::{Error, Result};
use crate::lifecycle::event::{Event, Observer};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

pub use live::bytes;
pub use style::Style;

/// What a command has to say when it is done.
#[derive(Debug, Default)]
pub struct Answer {
    /// For scripts: the envelope's `data`.
    pub data: Value,
    /// For people: printed on stdout. Empty where the events have said it all.
    pub text: String,
    /// What went well enough but should be known.
    pub warnings: Vec<String>,
    /// Why the exit code is not 0 although there is something to say, as for a degraded `status`.
    pub verdict: Option<Error>,
}

/// Words for people, or one JSON document for a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Words for people.
    Words,
    /// One JSON document on stdout.
    Json,
}

/// Where events and answers go. A clone goes to the same place.
#[derive(Debug, Clone)]
pub struct Output {
    format: Format,
    sink: Arc<Sink>,
    style: Style,
    /// Whether the answer was printed: there is only one.
    finished: Arc<Mutex<bool>>,
}

#[derive(Debug)]
enum Sink {
    Live(live::Live),
    Plain(plain::Plain),
    Silent,
}

impl Output {
    /// An output for this process' own stdout and stderr.
    pub fn new(format: Format, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let style = Style::for_stdout();
        let sink = match (quiet, terminal) {
            (true, _) => Sink::Silent,
            (false, true) => Sink::Live(live::Live::new()),
            (false, false) => Sink::Plain(plain::Plain::new()),
        };
        Self { format, sink: Arc::new(sink), style, finished: Arc::default() }
    }

    /// How text on stdout may be styled; without colours where nobody would see them.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Prints a line of the result at once, for commands whose result is a stream. Says whether anybody reads on:
    /// one who went away (`| head`) is no trouble, and reason enough to end.
    pub fn line(&self, line: &str) -> bool {
        writeln!(std::io::stdout().lock(), "{line}").is_ok()
    }

    /// Prints the answer or the error, and returns the exit code.
    pub fn finish(&self, command: &str, answer: Result<Answer>) -> u8 {
        // A signal may end the process while the answer is being printed: then that one is waited for, and stays.
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *finished, true) {
            return answer.map_or_else(|error| error.code().exit(), |_| 0);
        }
        if let Sink::Live(live) = &*self.sink {
            live.clear();
        }
        // Whoever ends what has no end of its own need not be told so.
        let as_asked = matches!(&answer, Ok(Answer { verdict: Some(verdict), .. }) if verdict.code().is_a_signal());
        let (answer, error) = match answer {
            Ok(mut answer) => {
                let verdict = answer.verdict.take();
                (answer, verdict)
            }
            Err(error) => (Answer::default(), Some(error)),
        };
        let exit = error.as_ref().map_or(0, |error| error.code().exit());
        match self.format {
            Format::Json => {
                self.line(&envelope::render(command, &answer, error.as_ref()));
            }
            Format::Words => self.finish_in_words(&answer, error.as_ref().filter(|_| !as_asked)),
        }
        exit
    }

    fn finish_in_words(&self, answer: &Answer, error: Option<&Error>) {
        if !answer.text.is_empty() {
            self.line(answer.text.trim_end());
        }
        let style = Style::for_stderr();
        let mut stderr = std::io::stderr().lock();
        for warning in &answer.warnings {
            let _ = writeln!(stderr, "{} {warning}", style.warning("warning:"));
        }
        if let Some(error) = error {
            let _ = writeln!(stderr, "{} {}", style.error("error:"), error.message());
            if let Some(hint) = error.hint_text() {
                let _ = writeln!(stderr, "{} {hint}", style.hint("hint:"));
            }
        }
    }
}

/// Asks a question on stderr; the caller reads the answer.
pub fn ask(question: &str) {
    let mut stderr = std::io::stderr().lock();
    // A terminal that is gone gives no answer either.
    let _ = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
}

impl Observer for Output {
    fn observe(&self, event: Event) {
        match &*self.sink {
            Sink::Live(live) => live.show(&event),
            Sink::Plain(plain) => plain.show(&event),
            Sink::Silent => {}
        }
    }
}
