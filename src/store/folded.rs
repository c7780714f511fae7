//! The folded state on disk: saved now and then, brought up to date from the reports when a store is opened.

use super::codec::{Malformed, Reader, Writer, inflate};
use super::error::StoreError;
use super::live::Live;
use crate::quality::{
    Colour, CompiledRules, Day, DayBucket, Decided, DurationHistogram, FlakeEvent, FlakeKind, Recoveries, Rules,
    TestDay, TestState,
};
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

/// The day of the roll-up that holds the sums of all time.
const ALL_TIME: i32 = i32::MAX;

/// Days for which day buckets stay in memory at least.
const DAYS_IN_MEMORY: u32 = 90;

/// Writes the state of every project; the caller's transaction makes it whole.
pub(super) fn save(connection: &Connection, live: &Live) -> Result<(), StoreError> {
    let rules =
        serde_json::to_string(&live.rules.rules).map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
    connection.execute(
        "INSERT OR REPLACE INTO folded (id, rules, version, through) VALUES (1, ?1, ?2, ?3)",
        (rules, &live.rules.version, live.through),
    )?;
    let mut tests =
        connection.prepare_cached("INSERT OR REPLACE INTO folded_tests (project_id, tests) VALUES (?1, ?2)")?;
    let mut rollups = connection.prepare_cached(
        "INSERT OR REPLACE INTO daily_rollup (project_id, day, branch, bucket) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut stored = connection
        .prepare_cached("SELECT bucket FROM daily_rollup WHERE project_id = ?1 AND day = ?2 AND branch = ?3")?;
    for (id, project) in &live.projects {
        tests.execute((id, encode_tests(project.state.tests())))?;
        let sums = &project.state.sums;
        for (day, branch, bucket) in sums.buckets() {
            let mut whole = bucket.clone();
            if project.whole_from.is_some_and(|first| day < first) {
                let earlier: Option<Vec<u8>> = stored.query_row((id, day.0, branch), |row| row.get(0)).optional()?;
                if let Some(earlier) = earlier {
                    whole.merge(&decode_bucket(&earlier)?);
                }
            }
            rollups.execute((id, day.0, branch, encode_bucket(&whole)))?;
        }
        for (branch, bucket) in sums.lifetime() {
            rollups.execute((id, ALL_TIME, branch, encode_bucket(bucket)))?;
        }
    }
    Ok(())
}

/// What is kept in memory after a save: days that no window reaches any more are on disk.
pub(super) fn forget_old_days(live: &mut Live) {
    let days = DAYS_IN_MEMORY.max(live.rules.rules.flake_window_days.saturating_mul(2));
    live.unsaved = (0, 0);
    for project in live.projects.values_mut() {
        if let Some(newest) = project.state.sums.newest {
            let first = Day::of(newest).back(days);
            project.state.sums.forget_buckets_before(first);
            project.whole_from = Some(first);
        }
    }
}

/// The rules the stored state was folded under, with the version they had then.
pub(super) fn stored_rules(connection: &Connection) -> Result<Option<Arc<CompiledRules>>, StoreError> {
    let stored: Option<(String, String)> = connection
        .query_row("SELECT rules, version FROM folded WHERE id = 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((json, version)) = stored else { return Ok(None) };
    let rules = serde_json::from_str::<Rules>(&json).ok().and_then(|rules| rules.compile().ok());
    // The definitions may have changed since, though the rules have not.
    Ok(rules.map(|rules| Arc::new(rules.of_version(version))))
}

/// Reads the stored state, and folds in the reports that came after it was saved.
pub(super) fn load(connection: &Connection, rules: Arc<CompiledRules>) -> Result<Live, StoreError> {
    let mut live = Live::new(rules);
    live.through =
        connection.query_row("SELECT through FROM folded WHERE id = 1", [], |row| row.get(0)).optional()?.unwrap_or(0);
    load_projects(connection, &mut live)?;
    let mut tests = connection.prepare("SELECT project_id, tests FROM folded_tests")?;
    let mut rows = tests.query([])?;
    while let Some(row) = rows.next()? {
        let project = live.project(row.get(0)?);
        let mut suites = connection.prepare_cached("SELECT suite FROM test WHERE project_id = ?1 ORDER BY number")?;
        let mut names = suites.query([row.get::<_, i64>(0)?])?;
        for (number, state) in (0u32..).zip(decode_tests(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?) {
            let Some(name) = names.next()? else { return Err(Malformed.into()) };
            project.state.restore(number, name.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?, state);
        }
    }
    load_rollups(connection, &mut live)?;
    register_tests(connection, &mut live)?;
    super::defects::load(connection, &mut live)?;
    let newest = newest_report(connection)?;
    live.fold_stored(connection, newest)?;
    live.ingest = Arc::new(super::tally::load(connection)?);
    Ok(live)
}

/// The number of the newest report.
pub(super) fn newest_report(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(id), 0) FROM report", [], |row| row.get(0))?)
}

/// The day of the oldest report that is kept.
pub(super) fn oldest_report_day(connection: &Connection) -> Result<Option<Day>, StoreError> {
    let oldest: Option<i64> = connection.query_row("SELECT min(at) FROM report", [], |row| row.get(0))?;
    Ok(oldest.map(Day::of))
}

/// Reads the projects' names.
pub(super) fn load_projects(connection: &Connection, live: &mut Live) -> Result<(), StoreError> {
    let mut projects = connection.prepare("SELECT id, key, default_branch FROM project")?;
    let mut rows = projects.query([])?;
    while let Some(row) = rows.next()? {
        let project = live.project(row.get(0)?);
        project.key = row.get(1)?;
        project.default_branch = row.get(2)?;
    }
    Ok(())
}

/// Takes in all tests that the state does not know yet.
pub(super) fn register_tests(connection: &Connection, live: &mut Live) -> Result<(), StoreError> {
    let projects: Vec<i64> = live.projects.keys().copied().collect();
    projects.into_iter().try_for_each(|project| register_tests_of(connection, live, project))
}

/// Takes in the tests of a project that its state does not know yet.
pub(super) fn register_tests_of(connection: &Connection, live: &mut Live, project: i64) -> Result<(), StoreError> {
    let state = &mut live.project(project).state;
    let mut tests = connection.prepare_cached(
        "SELECT number, suite, first_day FROM test WHERE project_id = ?1 AND number >= ?2 ORDER BY number",
    )?;
    let mut rows = tests.query((project, state.tests().len() as i64))?;
    while let Some(row) = rows.next()? {
        let suite = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        state.register([(row.get(0)?, suite, Some(Day(row.get(2)?)))]);
    }
    Ok(())
}

fn load_rollups(connection: &Connection, live: &mut Live) -> Result<(), StoreError> {
    let days = DAYS_IN_MEMORY.max(live.rules.rules.flake_window_days.saturating_mul(2));
    let mut rollups = connection.prepare(
        "SELECT day, branch, bucket FROM daily_rollup WHERE project_id = ?1 AND day >= ?2 ORDER BY day DESC, branch",
    )?;
    let mut newest = connection.prepare("SELECT max(day) FROM daily_rollup WHERE project_id = ?1 AND day < ?2")?;
    // Of the newest day alone, which the index by time finds at once.
    let mut moment = connection.prepare("SELECT max(at) FROM report WHERE at >= ?1 AND project_id = ?2")?;
    for (id, project) in &mut live.projects {
        let last: Option<i32> = newest.query_row((id, ALL_TIME), |row| row.get(0))?;
        let first = last.map(|last| Day(last).back(days));
        project.whole_from = first;
        let sums = &mut project.state.sums;
        sums.newest = match last.map(|last| Day(last).start()) {
            None => None,
            Some(start) => Some(moment.query_row((start, id), |row| row.get::<_, Option<i64>>(0))?.unwrap_or(start)),
        };
        let mut lifetime = Vec::new();
        let mut rows = rollups.query((id, first.map_or(i32::MIN, |first| first.0)))?;
        while let Some(row) = rows.next()? {
            let (day, branch): (i32, String) = (row.get(0)?, row.get(1)?);
            let bucket = decode_bucket(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
            match day {
                ALL_TIME => lifetime.push((branch, bucket)),
                _ => sums.add_bucket(Day(day), &branch, &bucket),
            }
        }
        sums.set_lifetime(lifetime.iter().map(|(branch, bucket)| (branch.as_str(), bucket.clone())));
    }
    Ok(())
}

fn encode_bucket(bucket: &DayBucket) -> Vec<u8> {
    let mut writer = Writer::default();
    for number in [
        bucket.passed,
        bucket.failed,
        bucket.errors,
        bucket.skipped,
        bucket.flaky,
        bucket.runs,
        bucket.reports,
        bucket.failed_reports,
        bucket.held_out_reports,
        bucket.recoveries.count,
        bucket.recoveries.seconds,
    ] {
        writer.number(number);
    }
    for histogram in [&bucket.durations, &bucket.report_durations] {
        let (sum, parts) = histogram.parts();
        let parts: Vec<_> = parts.collect();
        writer.number(sum);
        writer.number(parts.len() as u64);
        for (bucket, count) in parts {
            writer.number(u64::from(bucket));
            writer.number(count);
        }
    }
    writer.finish()
}

fn decode_bucket(bytes: &[u8]) -> Result<DayBucket, Malformed> {
    let bytes = inflate(bytes)?;
    let mut reader = Reader(&bytes);
    let mut bucket = DayBucket {
        passed: reader.number()?,
        failed: reader.number()?,
        errors: reader.number()?,
        skipped: reader.number()?,
        flaky: reader.number()?,
        runs: reader.number()?,
        reports: reader.number()?,
        failed_reports: reader.number()?,
        held_out_reports: reader.number()?,
        recoveries: Recoveries { count: reader.number()?, seconds: reader.number()? },
        ..DayBucket::default()
    };
    for histogram in [&mut bucket.durations, &mut bucket.report_durations] {
        let sum = reader.number()?;
        let mut parts = Vec::new();
        for _ in 0..reader.length()? {
            let index = u16::try_from(reader.number()?).map_err(|_| Malformed)?;
            parts.push((index, reader.number()?));
        }
        *histogram = DurationHistogram::from_parts(sum, parts);
    }
    Ok(bucket)
}

/// Stand where the number of tests stood, which never was so large, and tell what is known of a test's colour: in which
/// place it was red, or of each execution that is remembered the moment and the place.
const TELLS_PLACES: u64 = u64::MAX;
const TELLS_MOMENTS: u64 = u64::MAX - 1;

fn encode_tests(tests: &[TestState]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.number(TELLS_MOMENTS);
    writer.number(tests.len() as u64);
    for test in tests {
        for day in [test.first_day, test.last_seen, test.last_decisive, test.last_pass, test.last_flaky] {
            writer.maybe(day.map(|day| i64::from(day.0)));
        }
        encode_colour(&mut writer, &test.colour);
        writer.number(test.days.len() as u64);
        for day in &test.days {
            writer.signed(i64::from(day.day.0));
            writer.number(u64::from(day.decisive));
            writer.number(u64::from(day.failed));
            writer.number(u64::from(day.flaky));
            writer.number(day.microseconds);
        }
        writer.number(test.events.len() as u64);
        for event in &test.events {
            writer.signed(i64::from(event.day.0));
            writer.signed(event.report);
            writer.byte(u8::from(event.kind == FlakeKind::BothOutcomesOnOneCommit));
        }
    }
    writer.finish()
}

/// Neighbouring executions are close to each other, and mostly of one place.
fn encode_colour(writer: &mut Writer, colour: &Colour) {
    writer.maybe(colour.settled.map(i64::from));
    writer.number(colour.red.len() as u64);
    for (place, since) in &colour.red {
        writer.number(u64::from(*place));
        writer.number(u64::from(*since));
    }
    writer.number(colour.newest.len() as u64);
    let (mut at, mut packed) = (0, 0);
    for one in &colour.newest {
        writer.number(u64::from(one.at - at));
        writer.number(u64::from(one.packed ^ packed));
        (at, packed) = (one.at, one.packed);
    }
}

fn decode_tests(bytes: &[u8]) -> Result<Vec<TestState>, Malformed> {
    let bytes = inflate(bytes)?;
    let mut reader = Reader(&bytes);
    // Older ones begin with their length, and do not tell places.
    let tells = Reader(reader.0).number()?;
    if tells >= TELLS_MOMENTS {
        reader.number()?;
    }
    let count = reader.length()?;
    (0..count).map(|_| decode_test(&mut reader, tells)).collect()
}

fn decode_test(reader: &mut Reader<'_>, tells: u64) -> Result<TestState, Malformed> {
    let whole = |number: i64| i32::try_from(number).map(Day).map_err(|_| Malformed);
    let count = |number: u64| u32::try_from(number).map_err(|_| Malformed);
    let mut day = || reader.maybe()?.map(whole).transpose();
    let mut test = TestState {
        first_day: day()?,
        last_seen: day()?,
        last_decisive: day()?,
        last_pass: day()?,
        last_flaky: day()?,
        ..TestState::default()
    };
    test.colour = if tells == TELLS_MOMENTS { decode_colour(reader)? } else { decode_old_colour(reader, tells)? };
    for _ in 0..reader.length()? {
        test.days.push(TestDay {
            day: whole(reader.signed()?)?,
            decisive: count(reader.number()?)?,
            failed: count(reader.number()?)?,
            flaky: count(reader.number()?)?,
            microseconds: reader.number()?,
        });
    }
    for _ in 0..reader.length()? {
        let (day, report) = (whole(reader.signed()?)?, reader.signed()?);
        let kind = match reader.byte()? {
            0 => FlakeKind::RetriedWithinRun,
            1 => FlakeKind::BothOutcomesOnOneCommit,
            _ => return Err(Malformed),
        };
        test.events.push(FlakeEvent { day, report, kind });
    }
    Ok(test)
}

fn decode_colour(reader: &mut Reader<'_>) -> Result<Colour, Malformed> {
    let part = |number: u64| u32::try_from(number).map_err(|_| Malformed);
    let settled = reader.maybe()?.map(|at| u32::try_from(at).map_err(|_| Malformed)).transpose()?;
    let mut colour = Colour { settled, ..Colour::default() };
    for _ in 0..reader.length()? {
        colour.red.push((part(reader.number()?)?, part(reader.number()?)?));
    }
    let (mut at, mut packed) = (0u32, 0);
    for _ in 0..reader.length()? {
        at = at.checked_add(part(reader.number()?)?).ok_or(Malformed)?;
        packed ^= part(reader.number()?)?;
        colour.newest.push(Decided { at, packed });
    }
    Ok(colour)
}

/// What older versions knew of a colour: the newest moment, since when the test was red, and where it failed last.
fn decode_old_colour(reader: &mut Reader<'_>, tells: u64) -> Result<Colour, Malformed> {
    let moment = |at: i64| u32::try_from(at.max(0)).unwrap_or(u32::MAX);
    let (settled, since) = (reader.maybe()?.map(moment), reader.maybe()?.map(moment));
    let place = if tells == TELLS_PLACES { u32::try_from(reader.number()?).map_err(|_| Malformed)? } else { 0 };
    let red = since.map(|since| (Decided::new(0, place, false).packed, since));
    Ok(Colour { settled, red: red.into_iter().collect(), newest: Vec::new() })
}
