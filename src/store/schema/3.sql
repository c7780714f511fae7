-- A search looks at keys and titles alone, in the order in which the defects are listed.
DROP INDEX defect_by_day;
CREATE INDEX defect_by_day ON defect (project_id, created_at DESC, key, defect ->> '$.title');

-- Runs are listed by when they were.
DROP INDEX run_by_branch;
CREATE INDEX run_by_branch ON run (project_id, branch, at, id);
CREATE INDEX run_by_time ON run (project_id, at, id);

-- By which version of the rules and definitions the folded state was made; where it is another one, it is made anew.
ALTER TABLE folded ADD COLUMN version TEXT NOT NULL DEFAULT '';
