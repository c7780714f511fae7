//! Events as plain lines on stderr, one a change of state, for logs and pipes.

use crate::engine::Transfer;
use crate::lifecycle::event::Event;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;

/// Remembers what it said last of each part, so that nothing is said twice.
#[derive(Debug)]
pub struct Plain {
    said: Mutex<HashMap<String, String>>,
}

impl Plain {
    pub fn new() -> Self {
        Self { said: Mutex::new(HashMap::new()) }
    }

    pub fn show(&self, event: &Event) {
        let (part, line) = match event {
            Event::Working { part, doing } => (part.as_str(), doing.clone()),
            Event::Waiting { part, until } => (part.as_str(), format!("waiting for {until}")),
            Event::Progress { part, doing, transfer } => (part.as_str(), progress(doing, *transfer)),
            Event::Done { part, result, took } => (part.as_str(), format!("{result} ({:.1} s)", took.as_secs_f64())),
            Event::Failed { part, why } => (part.as_str(), format!("failed: {why}")),
            Event::Warning(text) => ("warning", text.clone()),
        };
        let Ok(mut said) = self.said.lock() else { return };
        if said.get(part) != Some(&line) {
            // A log that cannot be written is no reason to end the run.
            let _ = writeln!(std::io::stderr().lock(), "{part}: {line}");
            said.insert(part.to_owned(), line);
        }
    }
}

/// A quarter is a change of state; less would fill a log.
fn progress(doing: &str, transfer: Transfer) -> String {
    let quarter = transfer.percent / 25 * 25;
    format!("{doing}: {quarter} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_speaks_in_quarters() {
        let at = |percent| Transfer { done: 1, total: 3, percent };
        assert_eq!(progress("pull x", at(0)), "pull x: 0 %");
        assert_eq!(progress("pull x", at(74)), "pull x: 50 %");
        assert_eq!(progress("pull x", at(100)), "pull x: 100 %");
    }
}
