//! One parser on one file, timed: what `benches/compare-parsers` runs side by side.
//!
//! `parsers generate FILE usual|cases-only MEGABYTES`, or `parsers ours|junit-parser FILE ROUNDS`, which prints
//! the best time in seconds and the number of test cases.

use qastack::reports::{Limits, NameRules, read_with};
use std::io::Write as _;
use std::time::{Duration, Instant};

mod report_file;
use report_file::{Mix, report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo passes `--bench` to every bench; there is nothing to do then.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate", file, mix, megabytes] => {
            let mix = if *mix == "cases-only" { Mix::CasesOnly } else { Mix::Usual };
            std::fs::write(file, report(megabytes.parse::<usize>()? << 20, mix))?;
        }
        ["ours", file, rounds] => {
            let (names, limits) = (NameRules::default(), Limits { cases: u64::MAX, ..Limits::default() });
            let bytes = std::fs::read(file)?;
            best(rounds.parse()?, || Ok(read_with(&bytes, &limits, &names)?), |run| run.executions.len())?;
        }
        ["junit-parser", file, rounds] => {
            let bytes = std::fs::read(file)?;
            let parse = || Ok(junit_parser::from_reader(bytes.as_slice())?);
            best(rounds.parse()?, parse, |suites| suites.suites.iter().map(|suite| suite.cases.len()).sum())?;
        }
        _ => {}
    }
    Ok(())
}

type Parsed<T> = Result<T, Box<dyn std::error::Error>>;

/// The shortest of several rounds. The model is counted and dropped outside of the measured time.
fn best<T>(rounds: u32, parse: impl Fn() -> Parsed<T>, count: impl Fn(&T) -> usize) -> Parsed<()> {
    let (mut shortest, mut cases) = (Duration::MAX, 0);
    for _ in 0..rounds {
        let start = Instant::now();
        let model = parse()?;
        shortest = shortest.min(start.elapsed());
        cases = count(&model);
    }
    Ok(writeln!(std::io::stdout(), "{} {cases}", shortest.as_secs_f64())?)
}
