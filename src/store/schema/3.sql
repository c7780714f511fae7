-- A search looks at keys and titles alone, in the order in which the defects are listed.
DROP INDEX defect_by_day;
CREATE INDEX defect_by_day ON defect (project_id, created_at DESC, key, defect ->> '$.title');
