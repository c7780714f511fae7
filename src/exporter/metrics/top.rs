//! The flakiest tests by their names, as far as the settings ask for them: the one place where a test is a label, so
//! they are few, and none without being asked for.
//!
//! They are looked up beside the scrapes and at most once a minute: no scrape waits for them.

use crate::exporter::Shown;
use crate::exporter::exposition::Exposition;
use crate::store::{Ranking, Reader, StoreError};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Tests that may be asked for.
pub const MOST: u8 = 20;

/// Seconds for which a list is shown.
const SHOWN_FOR: i64 = 60;

/// A longer name is cut.
const LONGEST_NAME: usize = 200;

/// A test among the flakiest.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    project: String,
    test: String,
    score: f64,
}

/// The list as it was looked up last.
#[derive(Debug, Default)]
pub struct Top(Mutex<Looked>);

#[derive(Debug, Default)]
struct Looked {
    at: Option<i64>,
    /// Whether the rows are the sample's.
    sample: bool,
    rows: Arc<Vec<Row>>,
}

/// Writes the family, where it is asked for, and has the list looked up anew where it is old.
pub(super) fn write(page: &mut Exposition, top: &Arc<Top>, shown: &Shown, now: i64, most: u8) {
    if most == 0 {
        return;
    }
    let rows = top.rows(shown, now, usize::from(most.min(MOST)));
    let mut family = page.gauge(
        "qa_top_flaky_test_score",
        "The flakiest tests of the window, by the lower bound of the share of their executions that is flaky",
    );
    for Row { project, test, score } in rows.iter() {
        family.sample(&[("project", project), ("test", test)], *score);
    }
}

impl Top {
    fn rows(self: &Arc<Self>, shown: &Shown, now: i64, most: usize) -> Arc<Vec<Row>> {
        let mut looked = self.looked();
        if looked.sample != shown.sample {
            // The sample is never shown among real data.
            *looked = Looked { sample: shown.sample, ..Looked::default() };
        }
        let is_old = looked.at.is_none_or(|at| !(at..at + SHOWN_FOR).contains(&now));
        if is_old && let Ok(store) = shown.store() {
            looked.at = Some(now);
            let (top, store, sample) = (Arc::clone(self), store.clone(), shown.sample);
            tokio::spawn(async move {
                match store.read(move |reader| flakiest(reader, now, most)).await {
                    Ok(rows) => {
                        let mut looked = top.looked();
                        if looked.sample == sample {
                            looked.rows = Arc::new(rows);
                        }
                    }
                    Err(error) => tracing::warn!(%error, "the flakiest tests could not be looked up"),
                }
            });
        }
        Arc::clone(&looked.rows)
    }

    fn looked(&self) -> std::sync::MutexGuard<'_, Looked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn flakiest(reader: &Reader<'_>, now: i64, most: usize) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    for project in reader.projects()? {
        for summary in reader.ranked(&project.key, Ranking::Flaky, now, most)? {
            let parts = [&summary.test.suite, &summary.test.class, &summary.test.name, &summary.test.variant];
            let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
            let test: String = parts.join(" › ").chars().take(LONGEST_NAME).collect();
            rows.push(Row { project: project.key.clone(), test, score: summary.score });
        }
    }
    rows.sort_by(|a, b| b.score.total_cmp(&a.score));
    // Two long names may be one when they are cut; a series stands once.
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert((row.project.clone(), row.test.clone())));
    rows.truncate(most);
    Ok(rows)
}
