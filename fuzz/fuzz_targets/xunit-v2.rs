//! Any bytes: the reader may refuse them, but never panics, and what it reads holds together.
//! The targets differ by their seeds alone, since the format is found from the content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qastack::reports::{Limits, read};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(run) = read(bytes, &Limits::default()) {
        assert!(run.counts().tests <= run.elements.tests);
        assert!(run.executions.iter().all(|execution| !execution.attempts.is_empty()));
    }
});
