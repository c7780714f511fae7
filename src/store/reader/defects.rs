//! Lists of defects, newest first. How many there are of a kind on each day is known from the folded state, so that
//! a list reads the days that it shows and no others.

use super::Reader;
use super::tests::any_text;
use crate::quality::{CompiledRules, DefectKind, Window};
use crate::store::defects::from_json;
use crate::store::error::StoreError;
use crate::store::views::ClassifiedDefect;
use rusqlite::Row;
use std::sync::Arc;

const DAY: i64 = 86_400;

/// In the order of the index `defect_by_day`, so that nothing is sorted and each statement ends where its reader does.
const NEWEST: &str = "SELECT defect FROM defect WHERE project_id = ?1 ORDER BY created_at DESC, key LIMIT ?2 OFFSET ?3";
const BETWEEN: &str = "SELECT defect FROM defect WHERE project_id = ?1 AND created_at >= ?2 AND created_at < ?3 \
    ORDER BY created_at DESC, key LIMIT ?4";
/// The index holds all that is asked for: which of them are of a kind is known without reading them.
const NUMBERS: &str = "SELECT id FROM defect WHERE project_id = ?1 AND created_at >= ?2 AND created_at < ?3 \
    ORDER BY created_at DESC, key";
const ONE: &str = "SELECT defect FROM defect WHERE id = ?1";
/// The index holds all that is asked for: a search reads none of the defects that it does not find.
const NAMES: &str =
    "SELECT id, key, defect ->> '$.title' FROM defect WHERE project_id = ?1 ORDER BY created_at DESC, key";

/// A page of a project's defects.
#[derive(Debug, Clone, PartialEq)]
pub struct DefectPage {
    /// Those of the page.
    pub defects: Vec<ClassifiedDefect>,
    /// All that were chosen, on whichever page.
    pub chosen: u64,
}

impl Reader<'_> {
    /// A project's defects, newest first, each with what the rules make of it.
    pub fn defects(&self, project: &str, limit: usize) -> Result<Vec<ClassifiedDefect>, StoreError> {
        Ok(self.defect_page(project, None, 0, limit)?.defects)
    }

    /// A page of a project's defects, newest first: of a kind, or of all of them.
    pub fn defect_page(
        &self,
        project: &str,
        kind: Option<DefectKind>,
        from: usize,
        limit: usize,
    ) -> Result<DefectPage, StoreError> {
        if let Some(kind) = kind {
            return self.of_kind(project, kind, from, limit);
        }
        let rules = Arc::clone(&self.shared.snapshot().rules);
        let id = self.project_id(project)?;
        let mut count = self.connection.prepare_cached("SELECT count(*) FROM defect WHERE project_id = ?1")?;
        let chosen = count.query_row([id], |row| row.get(0))?;
        let mut statement = self.connection.prepare_cached(NEWEST)?;
        let mut rows = statement.query((id, limit, from))?;
        let mut defects = Vec::new();
        while let Some(row) = rows.next()? {
            defects.push(classified(project, &rules, row)?);
        }
        Ok(DefectPage { defects, chosen })
    }

    /// A page of the defects of a kind.
    pub(super) fn of_kind(
        &self,
        project: &str,
        kind: DefectKind,
        from: usize,
        limit: usize,
    ) -> Result<DefectPage, StoreError> {
        // The rules and the counts are those of one moment.
        let snapshot = self.shared.snapshot();
        let known = snapshot.projects.get(project);
        let known = known.ok_or_else(|| StoreError::Unknown { what: format!("project {project:?}") })?;
        let days = known.sums.defects.days(kind);
        let mut page = DefectPage { defects: Vec::new(), chosen: days.iter().map(|(_, count)| count).sum() };
        let mut numbers = self.connection.prepare_cached(NUMBERS)?;
        let mut whole = self.connection.prepare_cached(ONE)?;
        let mut before = from as u64;
        for (day, count) in days.iter().rev() {
            if page.defects.len() >= limit {
                break;
            }
            if before >= count {
                before -= count;
                continue;
            }
            let mut rows = numbers.query((known.id, day.start(), day.start() + DAY))?;
            let mut left = count;
            while left > 0 && page.defects.len() < limit {
                let Some(row) = rows.next()? else { break };
                let id: i64 = row.get(0)?;
                if !known.kinds.holds(id, kind) {
                    continue;
                }
                left -= 1;
                if before > 0 {
                    before -= 1;
                    continue;
                }
                let mut one = whole.query([id])?;
                if let Some(row) = one.next()? {
                    let defect = classified(project, &snapshot.rules, row)?;
                    // It may have changed since the snapshot.
                    page.defects.extend(Some(defect).filter(|defect| kind.holds(&defect.class)));
                }
            }
        }
        Ok(page)
    }

    /// The newest defects that were created in a window, of whichever kind, and how many there are.
    pub(super) fn created_in(&self, project: &str, window: Window, limit: usize) -> Result<DefectPage, StoreError> {
        let snapshot = self.shared.snapshot();
        let known = snapshot.projects.get(project);
        let known = known.ok_or_else(|| StoreError::Unknown { what: format!("project {project:?}") })?;
        let (production, pre_release, invalid) = known.sums.defects.created_in(window);
        let mut statement = self.connection.prepare_cached(BETWEEN)?;
        let mut rows = statement.query((known.id, window.first.start(), window.last.start() + DAY, limit))?;
        let mut page = DefectPage { defects: Vec::new(), chosen: production + pre_release + invalid };
        while let Some(row) = rows.next()? {
            page.defects.push(classified(project, &snapshot.rules, row)?);
        }
        Ok(page)
    }

    /// The newest defects whose key or title contains a text.
    pub fn find_defects(&self, project: &str, text: &str, limit: usize) -> Result<Vec<ClassifiedDefect>, StoreError> {
        let rules = Arc::clone(&self.shared.snapshot().rules);
        let text = text.to_lowercase();
        let mut names = self.connection.prepare_cached(NAMES)?;
        let mut names = names.query([self.project_id(project)?])?;
        let mut whole = self.connection.prepare_cached(ONE)?;
        let mut found = Vec::new();
        while let (true, Some(row)) = (found.len() < limit, names.next()?) {
            if any_text(row, 1..3, |own| own.contains(&text))? {
                let mut rows = whole.query([row.get::<_, i64>(0)?])?;
                if let Some(row) = rows.next()? {
                    found.push(classified(project, &rules, row)?);
                }
            }
        }
        Ok(found)
    }
}

fn classified(project: &str, rules: &CompiledRules, row: &Row<'_>) -> Result<ClassifiedDefect, StoreError> {
    let defect = from_json(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
    let class = rules.classify(&defect);
    Ok(ClassifiedDefect { project: project.to_owned(), defect, class })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;
    use crate::store::schema::Place;

    #[test]
    fn every_list_follows_the_index_and_sorts_nothing_and_a_search_reads_nothing_else() {
        let connection = Place::new_memory().open_writer(&StoreOptions::default()).unwrap();
        for sql in [NEWEST, BETWEEN, NUMBERS, NAMES] {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let places = vec![rusqlite::types::Value::Integer(1); plan.parameter_count()];
            let steps = plan.query_map(rusqlite::params_from_iter(places), |row| row.get::<_, String>(3)).unwrap();
            let steps: Vec<_> = steps.map(Result::unwrap).collect();
            let covering = if [NAMES, NUMBERS].contains(&sql) { "COVERING " } else { "" };
            let bounds = if [BETWEEN, NUMBERS].contains(&sql) { " AND created_at>? AND created_at<?" } else { "" };
            let step = format!("SEARCH defect USING {covering}INDEX defect_by_day (project_id=?{bounds})");
            assert_eq!(steps, [step], "{sql}");
        }
    }
}
