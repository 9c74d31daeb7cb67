-- A database as the gateway made it before Alembic: its own SQL, in three steps, with a few rows.
CREATE TABLE keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, owner TEXT NOT NULL, scopes TEXT NOT NULL, digest BLOB NOT NULL,
    seeded INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER
) STRICT;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, key_id TEXT NOT NULL, owner TEXT NOT NULL, client_id TEXT NOT NULL, state TEXT NOT NULL,
    workflow BLOB NOT NULL, submitted_at INTEGER NOT NULL, queued_at INTEGER, started_at INTEGER,
    finished_at INTEGER, gpu_ms INTEGER NOT NULL DEFAULT 0, usd_micros INTEGER NOT NULL DEFAULT 0,
    history BLOB, error TEXT, cancel_requested INTEGER NOT NULL DEFAULT 0, hidden INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_by_owner ON jobs (owner, submitted_at);
CREATE INDEX jobs_in_flight ON jobs (state) WHERE finished_at IS NULL;
CREATE TABLE outputs (
    owner TEXT NOT NULL, type TEXT NOT NULL, subfolder TEXT NOT NULL, filename TEXT NOT NULL, job_id TEXT NOT NULL,
    PRIMARY KEY (type, subfolder, filename, owner)
) STRICT, WITHOUT ROWID;
CREATE TABLE requests (
    id TEXT PRIMARY KEY, key_id TEXT NOT NULL, job_id TEXT, method TEXT NOT NULL, route TEXT NOT NULL,
    status INTEGER NOT NULL, received_at INTEGER NOT NULL, duration_ms INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL
) STRICT;
CREATE INDEX requests_by_time ON requests (received_at);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE assets (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, job_id TEXT, node_id TEXT NOT NULL, type TEXT NOT NULL,
    subfolder TEXT NOT NULL, filename TEXT NOT NULL, file_path TEXT NOT NULL, content_type TEXT, size_bytes INTEGER,
    hash TEXT, created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX assets_by_file ON assets (type, subfolder, filename, owner);
CREATE INDEX assets_by_job ON assets (job_id);
CREATE INDEX assets_by_hash ON assets (owner, hash) WHERE hash IS NOT NULL;
INSERT INTO assets SELECT lower(hex(randomblob(16))), owner, job_id, '', type, subfolder, filename, filename, NULL,
    NULL, NULL, 0 FROM outputs;
DROP TABLE outputs;
ALTER TABLE jobs ADD COLUMN idempotency_key TEXT;
ALTER TABLE jobs ADD COLUMN request_hash BLOB;
CREATE UNIQUE INDEX jobs_by_idempotency ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 3;
INSERT INTO keys VALUES ('AAAAAAAA', 'client', 'client', '["client"]', x'00ff11', 1, 1000, NULL, NULL);
INSERT INTO keys VALUES ('BBBBBBBB', 'old bot', 'bots', '["admin", "client"]', x'22', 0, 1001, 9999, 1005);
INSERT INTO jobs (id, key_id, owner, client_id, state, workflow, submitted_at, finished_at, gpu_ms, usd_micros, history)
    VALUES ('job-2', 'AAAAAAAA', 'client', '', 'completed', x'7b7d', 2000, 2500, 400, 390, x'7b2261223a317d');
INSERT INTO jobs (id, key_id, owner, client_id, state, workflow, submitted_at, cancel_requested, idempotency_key,
    request_hash, priority, attempts)
    VALUES ('job-1', 'BBBBBBBB', 'bots', 'tab', 'running', x'7b7d', 2000, 1, 'same', x'33', -2, 1);
INSERT INTO jobs (id, key_id, owner, client_id, state, workflow, submitted_at, finished_at, error, hidden)
    VALUES ('job-3', 'AAAAAAAA', 'client', '', 'failed', x'', 2001, 2600, 'execution_error', 1);
INSERT INTO assets VALUES ('asset-2', 'client', 'job-2', '9', 'output', 'u/x', 'b.png', 'b.png', 'image/png', 12, NULL, 2500);
INSERT INTO assets VALUES ('asset-1', 'client', 'job-2', '9', 'output', 'u/x', 'a.png', 'a.png', 'image/png', NULL, NULL, 2500);
INSERT INTO assets VALUES ('asset-3', 'bots', NULL, '', 'input', '', 'c.png', 'cat.png', 'image/png', 5, 'blake3:00', 1500);
INSERT INTO requests VALUES ('request-1', 'AAAAAAAA', 'job-2', 'POST', '/prompt', 200, 2000, 12, 345, 67);
INSERT INTO meta VALUES ('client_id', 'kept-over-restarts');
