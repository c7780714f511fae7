//! What stands behind a figure besides tests and defects: the runs of its window, recoveries, deployments.

use super::Reader;
use super::tests::ENTRY;
use crate::quality::{CompiledRules, Standing, Window};
use crate::store::error::StoreError;
use crate::store::ingest::read_sums;
use crate::store::live;
use crate::store::model::Deployment;
use crate::store::views::{ExplainedDeployment, ExplainedRecovery, Explanation, HistoryEntry};
use std::collections::HashSet;

/// By the index of the time alone: in that of the project, all of its reports would have to be looked at and sorted.
const RUNS: &str = "SELECT run.id, run.branch, run.attempt, run.decisive, run.failed \
    FROM report AS r JOIN run ON run.id = r.run_id WHERE +r.project_id = ?1 AND r.at >= ?2 AND r.at < ?3 \
    ORDER BY r.at DESC, r.id DESC";

impl Reader<'_> {
    /// Adds the runs of a window that count, and those that the infrastructure guard holds out, the newest first.
    pub(super) fn add_runs(
        &self,
        explanation: &mut Explanation,
        project: &str,
        rules: &CompiledRules,
        window: Window,
        limit: usize,
    ) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(RUNS)?;
        let end = window.last.start() + 86_400;
        let mut rows = statement.query((self.project_id(project)?, window.first.start(), end))?;
        let mut seen = HashSet::new();
        while let Some(row) = rows.next()? {
            let (run, branch): (i64, Option<String>) = (row.get(0)?, row.get(1)?);
            if !seen.insert(run) {
                continue;
            }
            let (runs, left_out) = match rules.standing(branch.as_deref(), row.get(2)?, read_sums(row, 3)?) {
                Standing::Counts => (&mut explanation.runs, &mut explanation.runs_left_out),
                Standing::HeldOut => (&mut explanation.held_out, &mut explanation.held_out_left_out),
                _ => continue,
            };
            if runs.len() < limit {
                runs.push(self.run_summary(run)?);
            } else {
                *left_out += 1;
            }
        }
        Ok(())
    }

    /// Adds the tests that went from red to green in a window, the slowest first.
    pub(super) fn add_recoveries(
        &self,
        explanation: &mut Explanation,
        project: &str,
        rules: &CompiledRules,
        window: Window,
        limit: usize,
    ) -> Result<(), StoreError> {
        let id = self.project_id(project)?;
        let default_branch = {
            let live = self.live();
            let own = live.project_by_key(project).and_then(|(_, project)| project.default_branch.clone());
            own.unwrap_or_else(|| rules.rules.default_branch.clone())
        };
        let room = limit.saturating_sub(explanation.recoveries.len());
        let (slowest, all) = live::recoveries(self.connection, rules, (id, &default_branch), window, room)?;
        explanation.left_out += all - slowest.len() as u64;
        for recovery in slowest {
            let (fingerprint, test) = self.identity(id, recovery.test)?;
            explanation.recoveries.push(ExplainedRecovery {
                project: project.to_owned(),
                fingerprint,
                test,
                seconds: recovery.seconds(),
                red: self.entry(recovery.red.0, recovery.test)?,
                green: self.entry(recovery.green.0, recovery.test)?,
            });
        }
        Ok(())
    }

    /// A test's last execution in one report.
    fn entry(&self, report: i64, test: u32) -> Result<Option<HistoryEntry>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{ENTRY} WHERE r.id = ?1"))?;
        let mut rows = statement.query([report])?;
        match rows.next()? {
            Some(row) => Ok(self.entries_of(row, test)?.pop()),
            None => Ok(None),
        }
    }

    /// Adds the deployments of a window, the newest first.
    pub(super) fn add_deployments(
        &self,
        explanation: &mut Explanation,
        project: &str,
        rules: &CompiledRules,
        window: Window,
        limit: usize,
    ) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT key, environment, version, commit_sha, at, failed FROM deployment \
             WHERE project_id = ?1 AND at >= ?2 AND at < ?3 ORDER BY at DESC, key",
        )?;
        let end = window.last.start() + 86_400;
        let bounds = (self.project_id(project)?, window.first.start(), end);
        let rows = statement.query_map(bounds, |row| {
            Ok(Deployment {
                key: row.get(0)?,
                environment: row.get(1)?,
                version: row.get(2)?,
                commit: row.get(3)?,
                at: row.get(4)?,
                failed: row.get(5)?,
            })
        })?;
        for deployment in rows {
            let deployment = deployment?;
            if !rules.counts_deployment(&deployment.environment) {
                continue;
            }
            if explanation.deployments.len() < limit {
                let project = project.to_owned();
                explanation.deployments.push(ExplainedDeployment { project, deployment });
            } else {
                explanation.left_out += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;
    use crate::store::schema::Place;

    #[test]
    fn the_runs_of_a_window_are_found_by_their_time_and_not_sorted() {
        let connection = Place::new_memory().open_writer(&StoreOptions::default()).unwrap();
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {RUNS}")).unwrap();
        let steps = plan.query_map((1, 2, 3), |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<_> = steps.map(Result::unwrap).collect();
        let expected =
            ["SEARCH r USING INDEX report_by_time (at>? AND at<?)", "SEARCH run USING INTEGER PRIMARY KEY (rowid=?)"];
        assert_eq!(steps, expected);
    }
}
