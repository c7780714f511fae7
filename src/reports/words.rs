//! The words with which reports say how a test ended, whichever producer's they are.

use super::model::Outcome;

const PASSED: &[&str] = &[
    "passed",
    "pass",
    "run",
    "ran",
    "completed",
    "complete",
    "success",
    "successful",
    "succeeded",
    "ok",
    "executed",
    "finished",
    "done",
    "fixed",
    "expected",
    "passedbutrunaborted",
    "bpass",
];
const SKIPPED: &[&str] = &[
    "skipped",
    "skip",
    "notrun",
    "notexecuted",
    "notrunnable",
    "inprogress",
    "disabled",
    "suppressed",
    "ignored",
    "ignore",
    "pending",
    "todo",
    "inconclusive",
    "incomplete",
    "untested",
    "blocked",
    "excluded",
    "other",
    "xfail",
    "bfail",
    "bskip",
    "bxfail",
    "bxpass",
];
const FAILED: &[&str] =
    &["failed", "fail", "failure", "unexpected", "timedout", "timeout", "regression", "notok", "xpass"];
const ERROR: &[&str] = &[
    "error",
    "errored",
    "broken",
    "aborted",
    "crashed",
    "crash",
    "interrupted",
    "cancelled",
    "canceled",
    "killed",
    "terminated",
    "panicked",
    "stopped",
    "disconnected",
];

/// What a word says; nothing where it is not known. Nobody can tell whether an unknown word means a pass, so whoever
/// asks must not take it for one.
pub(super) fn outcome(word: &str) -> Option<Outcome> {
    let lists =
        [(PASSED, Outcome::Passed), (SKIPPED, Outcome::Skipped), (FAILED, Outcome::Failed), (ERROR, Outcome::Error)];
    lists.into_iter().find(|(words, _)| words.iter().any(|known| is(word, known))).map(|(_, outcome)| outcome)
}

/// Producers write `not_run`, `NotRun` and `not run`.
fn is(word: &str, known: &str) -> bool {
    let letters = word.bytes().filter(|byte| !matches!(byte, b' ' | b'_' | b'-' | b'\t' | b'\n'));
    letters.map(|byte| byte.to_ascii_lowercase()).eq(known.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_known_however_it_is_spelt_and_no_other_is() {
        for (word, expected) in [
            ("run", Some(Outcome::Passed)),
            ("Passed", Some(Outcome::Passed)),
            (" not_run ", Some(Outcome::Skipped)),
            ("Not Run", Some(Outcome::Skipped)),
            ("NotExecuted", Some(Outcome::Skipped)),
            ("FAILED", Some(Outcome::Failed)),
            ("timedOut", Some(Outcome::Failed)),
            ("timed-out", Some(Outcome::Failed)),
            ("Crashed", Some(Outcome::Error)),
            ("", None),
            ("passed?", None),
            ("pas", None),
            ("übersprungen", None),
        ] {
            assert_eq!(outcome(word), expected, "{word:?}");
        }
    }
}
