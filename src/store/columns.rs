//! A report's executions as a few compact columns, and the details of those that did not simply pass.
//!
//! An execution that passed at its first attempt takes about three bytes: the test's number as the distance to
//! the one before, its kind, and its duration. Executions are sorted by test, so that equal tests stand together.

use super::codec::{Malformed, Reader, Writer, inflate};
use crate::quality::Observation;
use crate::reports::{Attempt, Execution, Outcome};
use std::collections::HashMap;
use std::time::Duration;

/// One execution as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredExecution {
    /// What the figures need of it.
    pub(super) observation: Observation,
    /// How many attempts it took.
    pub(super) attempts: u64,
    /// Where its attempts stand in the report's details; nothing for a plain pass or skip.
    pub(super) detail: Option<u64>,
}

const FLAKY: u8 = 1 << 2;
const HAS_DURATION: u8 = 1 << 3;
const RETRIED: u8 = 1 << 4;
const HAS_DETAIL: u8 = 1 << 5;

/// Writes executions, which must be sorted by test.
pub(super) fn encode_executions(executions: &[StoredExecution]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.number(executions.len() as u64);
    let mut previous = 0;
    for execution in executions {
        writer.number(u64::from(execution.observation.test - previous));
        previous = execution.observation.test;
    }
    for execution in executions {
        writer.byte(kind_of(execution));
    }
    let durations = || executions.iter().filter_map(|execution| execution.observation.microseconds);
    // Most producers write milliseconds.
    let unit = if durations().all(|duration| duration % 1000 == 0) { 1000 } else { 1 };
    writer.number(unit);
    durations().for_each(|duration| writer.number(duration / unit));
    executions.iter().filter(|one| one.attempts != 1).for_each(|one| writer.number(one.attempts));
    executions.iter().filter_map(|one| one.detail).for_each(|detail| writer.number(detail));
    writer.finish()
}

/// Reads executions back.
pub(super) fn decode_executions(bytes: &[u8]) -> Result<Vec<StoredExecution>, Malformed> {
    let bytes = inflate(bytes)?;
    let mut reader = Reader(&bytes);
    let count = reader.length()?;
    let mut tests = Vec::with_capacity(count);
    let mut previous = 0u32;
    for _ in 0..count {
        let step = u32::try_from(reader.number()?).map_err(|_| Malformed)?;
        previous = previous.checked_add(step).ok_or(Malformed)?;
        tests.push(previous);
    }
    let kinds = reader.bytes(count)?;
    let mut executions = Vec::with_capacity(count);
    let unit = reader.number()?;
    for (&test, &kind) in tests.iter().zip(kinds) {
        let microseconds = match kind & HAS_DURATION {
            0 => None,
            _ => Some(reader.number()?.saturating_mul(unit)),
        };
        let outcome = outcome_of(kind & 3);
        let observation = Observation { test, outcome, flaky: kind & FLAKY != 0, microseconds };
        executions.push(StoredExecution { observation, attempts: 1, detail: None });
    }
    for (execution, _) in executions.iter_mut().zip(kinds).filter(|(_, kind)| *kind & RETRIED != 0) {
        execution.attempts = reader.number()?;
    }
    for (execution, _) in executions.iter_mut().zip(kinds).filter(|(_, kind)| *kind & HAS_DETAIL != 0) {
        execution.detail = Some(reader.number()?);
    }
    Ok(executions)
}

fn kind_of(execution: &StoredExecution) -> u8 {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    code_of(execution.observation.outcome)
        | flag(execution.observation.flaky, FLAKY)
        | flag(execution.observation.microseconds.is_some(), HAS_DURATION)
        | flag(execution.attempts != 1, RETRIED)
        | flag(execution.detail.is_some(), HAS_DETAIL)
}

fn code_of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Passed => 0,
        Outcome::Skipped => 1,
        Outcome::Failed => 2,
        Outcome::Error => 3,
    }
}

fn outcome_of(code: u8) -> Outcome {
    match code {
        0 => Outcome::Passed,
        1 => Outcome::Skipped,
        2 => Outcome::Failed,
        _ => Outcome::Error,
    }
}

/// The longest duration that is kept, a century in microseconds: sums of many stay in the range of the database.
pub(super) const LONGEST: u64 = 100 * 365 * 86_400 * 1_000_000;

/// A duration in whole microseconds, a century at most.
pub(super) fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(LONGEST)
}

/// Whether what the report says of an execution's attempts is kept.
pub(super) fn has_details(execution: &Execution) -> bool {
    execution.outcome.is_failure() || execution.attempts.len() > 1
}

/// Writes the attempts of those executions that failed or were retried, in the report's order; equal texts once.
pub(super) fn encode_details(executions: &[Execution]) -> Option<Vec<u8>> {
    let detailed: Vec<&Execution> = executions.iter().filter(|execution| has_details(execution)).collect();
    if detailed.is_empty() {
        return None;
    }
    let mut texts: Vec<&str> = vec![""];
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    let mut attempts = Writer::default();
    attempts.number(detailed.len() as u64);
    for execution in &detailed {
        attempts.number(execution.attempts.len() as u64);
        for attempt in &execution.attempts {
            attempts.byte(code_of(attempt.outcome));
            attempts.maybe(attempt.duration.map(|duration| microseconds(duration) as i64));
            for text in [attempt.kind(), attempt.message()] {
                // Text 0 stands for none.
                let number = text.map_or(0, |text| {
                    *numbers.entry(text).or_insert_with(|| {
                        texts.push(text);
                        texts.len() as u64 - 1
                    })
                });
                attempts.number(number);
            }
        }
    }
    let mut writer = Writer::default();
    writer.number(texts.len() as u64);
    texts.iter().for_each(|text| writer.text(text));
    writer.append(attempts);
    Some(writer.finish())
}

/// Reads the attempts back, in the order they were written.
pub(super) fn decode_details(bytes: &[u8]) -> Result<Vec<Vec<Attempt>>, Malformed> {
    let bytes = inflate(bytes)?;
    let mut reader = Reader(&bytes);
    let texts = (0..reader.length()?).map(|_| reader.text()).collect::<Result<Vec<_>, _>>()?;
    let text = |number: u64| match number {
        0 => Ok(None),
        number => usize::try_from(number)
            .ok()
            .and_then(|index| texts.get(index))
            .map(|text| Some((*text).to_owned()))
            .ok_or(Malformed),
    };
    let mut executions = Vec::new();
    for _ in 0..reader.length()? {
        let mut attempts = Vec::new();
        for _ in 0..reader.length()? {
            let outcome = outcome_of(reader.byte()?);
            let duration = reader.maybe()?.map(|number| Duration::from_micros(number.unsigned_abs()));
            let (kind, message) = (text(reader.number()?)?, text(reader.number()?)?);
            attempts.push(Attempt::new(outcome, duration, kind, message));
        }
        executions.push(attempts);
    }
    Ok(executions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::{Attempts, TestIdentity};
    use proptest::prelude::*;

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop::sample::select(vec![Outcome::Passed, Outcome::Skipped, Outcome::Failed, Outcome::Error])
    }

    prop_compose! {
        fn any_execution()(test in 0..5000u32, outcome in any_outcome(), flaky in any::<bool>(),
            microseconds in prop::option::of(0..10_000_000_000u64), attempts in 1..5u64, detail in prop::option::of(0..100u64))
            -> StoredExecution {
            StoredExecution { observation: Observation { test, outcome, flaky, microseconds }, attempts, detail }
        }
    }

    proptest! {
        #[test]
        fn executions_come_back_as_they_were(mut executions in prop::collection::vec(any_execution(), 0..300)) {
            executions.sort_by_key(|execution| execution.observation.test);
            prop_assert_eq!(decode_executions(&encode_executions(&executions)).unwrap(), executions);
        }

        #[test]
        fn damaged_columns_are_an_error_or_a_value_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let plain = [&[0u8][..], &bytes].concat();
            let _ = decode_executions(&plain);
            let _ = decode_details(&plain);
        }
    }

    #[test]
    fn a_plain_pass_takes_about_three_bytes() {
        let executions: Vec<StoredExecution> = (0..1000u32)
            .map(|test| StoredExecution {
                observation: Observation {
                    test,
                    outcome: Outcome::Passed,
                    flaky: false,
                    microseconds: Some(u64::from(test.wrapping_mul(2_654_435_761) % 900) * 1000),
                },
                attempts: 1,
                detail: None,
            })
            .collect();
        assert!(encode_executions(&executions).len() < 2500, "{}", encode_executions(&executions).len());
    }

    #[test]
    fn attempts_come_back_with_their_texts() {
        let attempt = |outcome, message: Option<&str>| {
            let kind = message.map(|_| "AssertionError".to_owned());
            Attempt::new(outcome, Some(Duration::from_millis(12)), kind, message.map(str::to_owned))
        };
        let execution = |outcome, attempts| Execution {
            test: TestIdentity::default(),
            outcome,
            flaky: false,
            duration: None,
            attempts,
            reported_start: None,
        };
        let executions = [
            execution(Outcome::Passed, attempt(Outcome::Passed, None).into()),
            execution(
                Outcome::Passed,
                Attempts::new(vec![attempt(Outcome::Failed, Some("1 != 2 \u{1F9EA}"))], attempt(Outcome::Passed, None)),
            ),
            execution(Outcome::Error, attempt(Outcome::Error, Some("1 != 2 \u{1F9EA}")).into()),
        ];
        let details = decode_details(&encode_details(&executions).unwrap()).unwrap();
        assert_eq!(details, [executions[1].attempts.to_vec(), executions[2].attempts.to_vec()]);
        assert_eq!(encode_details(&executions[..1]), None);
    }
}
