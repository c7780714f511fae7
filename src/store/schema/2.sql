-- What the reports of a run said together: the infrastructure guard judges runs, and a run may bring many reports.

ALTER TABLE run ADD COLUMN decisive INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
UPDATE run SET (decisive, failed) = (
    SELECT coalesce(sum(passed + failed + errors), 0), coalesce(sum(failed + errors), 0)
    FROM report WHERE run_id = run.id
);

-- A report that says its commit alone is compared on the tree that others say of it.
CREATE INDEX run_by_commit ON run (project_id, commit_sha) WHERE tree_sha IS NOT NULL;

-- A page of defects is a piece of this order.
CREATE INDEX defect_by_day ON defect (project_id, created_at DESC, key);
