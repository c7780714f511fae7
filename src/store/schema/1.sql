-- What is known for certain: it came from outside, and nothing can make it again.

CREATE TABLE project (
    id             INTEGER PRIMARY KEY,
    key            TEXT NOT NULL UNIQUE,
    default_branch TEXT,
    created_at     INTEGER NOT NULL
) STRICT;

-- Tests of a project are numbered from 0, so that executions can name them in one or two bytes.
CREATE TABLE test (
    project_id  INTEGER NOT NULL REFERENCES project (id),
    number      INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    suite       TEXT NOT NULL,
    class       TEXT NOT NULL,
    name        TEXT NOT NULL,
    file        TEXT,
    variant     TEXT NOT NULL,
    first_day   INTEGER NOT NULL,
    PRIMARY KEY (project_id, number)
) STRICT, WITHOUT ROWID;

-- Reports of one key, attempt, job, shard, environment and variant are one run; `identity` is their hash.
CREATE TABLE run (
    id           INTEGER PRIMARY KEY,
    project_id   INTEGER NOT NULL REFERENCES project (id),
    identity     BLOB NOT NULL,
    run_key      TEXT,
    attempt      INTEGER NOT NULL,
    job          TEXT,
    shard        TEXT,
    environment  TEXT,
    variant      TEXT,
    branch       TEXT,
    commit_sha   TEXT,
    tree_sha     TEXT,
    pull_request TEXT,
    ci_provider  TEXT,
    ci_url       TEXT,
    at           INTEGER NOT NULL,
    received_at  INTEGER NOT NULL,
    UNIQUE (project_id, identity)
) STRICT;
CREATE INDEX run_by_branch ON run (project_id, branch, id);

-- A report's executions stand in one compact column (see columns.rs); rows of their own would take twenty times
-- the space. `content` is the hash that makes a repeated push the same push; `code` is the hash of the tree or
-- commit, environment and variant on which outcomes can be compared.
CREATE TABLE report (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id      INTEGER NOT NULL REFERENCES project (id),
    run_id          INTEGER NOT NULL REFERENCES run (id),
    content         BLOB NOT NULL,
    idempotency_key TEXT,
    code            BLOB,
    format          TEXT NOT NULL,
    bytes           INTEGER NOT NULL,
    token_id        INTEGER,
    at              INTEGER NOT NULL,
    received_at     INTEGER NOT NULL,
    passed          INTEGER NOT NULL,
    failed          INTEGER NOT NULL,
    errors          INTEGER NOT NULL,
    skipped         INTEGER NOT NULL,
    flaky           INTEGER NOT NULL,
    new_tests       INTEGER NOT NULL,
    microseconds    INTEGER,
    warnings        TEXT,
    executions      BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX report_by_content ON report (project_id, content);
CREATE UNIQUE INDEX report_by_key ON report (project_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX report_by_code ON report (project_id, code) WHERE code IS NOT NULL;
CREATE INDEX report_by_run ON report (run_id);
CREATE INDEX report_by_time ON report (at);

-- What the report says of the attempts of those executions that failed or were retried, compressed.
CREATE TABLE report_details (
    report_id INTEGER PRIMARY KEY REFERENCES report (id) ON DELETE CASCADE,
    details   BLOB NOT NULL
) STRICT;

CREATE TABLE defect (
    id         INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES project (id),
    key        TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    defect     TEXT NOT NULL,
    UNIQUE (project_id, key)
) STRICT;

CREATE TABLE deployment (
    id          INTEGER PRIMARY KEY,
    project_id  INTEGER NOT NULL REFERENCES project (id),
    key         TEXT NOT NULL,
    environment TEXT NOT NULL,
    version     TEXT NOT NULL,
    commit_sha  TEXT,
    at          INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    UNIQUE (project_id, key)
) STRICT;

CREATE TABLE token (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL,
    sha256       BLOB NOT NULL UNIQUE,
    scopes       TEXT NOT NULL,
    project      TEXT,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at   INTEGER
) STRICT;
CREATE UNIQUE INDEX token_by_name ON token (name) WHERE revoked_at IS NULL;

CREATE TABLE ingest_total (
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- What is folded: the state of every project after the report `folded.through`, under the rules `folded.rules`.
-- Reports after that one are folded in when the store is opened.

CREATE TABLE folded (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    rules   TEXT NOT NULL,
    through INTEGER NOT NULL
) STRICT;

CREATE TABLE folded_tests (
    project_id INTEGER PRIMARY KEY REFERENCES project (id),
    tests      BLOB NOT NULL
) STRICT;

-- Day roll-ups outlive the reports they were folded from. Day 2147483647 holds the sums of all time.
CREATE TABLE daily_rollup (
    project_id INTEGER NOT NULL REFERENCES project (id),
    day        INTEGER NOT NULL,
    branch     TEXT NOT NULL,
    bucket     BLOB NOT NULL,
    PRIMARY KEY (project_id, day, branch)
) STRICT, WITHOUT ROWID;
