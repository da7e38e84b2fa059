-- +goose Up
CREATE TABLE webhook (
    id          TEXT    PRIMARY KEY,
    account_id  INTEGER NOT NULL,
    domain_id   INTEGER NOT NULL, -- 0: of the account
    seq         INTEGER NOT NULL, -- order within account and domain
    url         TEXT    NOT NULL CHECK (url <> ''),
    kinds       TEXT    NOT NULL, -- JSON
    description TEXT    NOT NULL,
    created_at  INTEGER NOT NULL  -- microseconds since 1970, UTC
);

-- One for each URL of an account or domain, and how far it has been told.
CREATE TABLE webhook_target (
    id            INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
    account_id    INTEGER NOT NULL,
    domain_id     INTEGER NOT NULL,
    url           TEXT    NOT NULL,
    position      BIGINT  NOT NULL CHECK (position >= 0), -- id of an event; 0: the follower's cursor
    failing_since INTEGER NOT NULL, -- 0: it is not
    disabled_at   INTEGER NOT NULL, -- 0: it is not
    last_error    TEXT    NOT NULL,
    UNIQUE (account_id, domain_id, url)
);

-- Events that a target has not taken. Those that it took at once never have a row.
CREATE TABLE webhook_call (
    target_id INTEGER NOT NULL,
    event_id  BIGINT  NOT NULL,
    domain_id INTEGER NOT NULL, -- of the event
    attempts  INTEGER NOT NULL CHECK (attempts >= 0),
    due       INTEGER NOT NULL,
    given_up  INTEGER NOT NULL CHECK (given_up IN (0, 1)),
    PRIMARY KEY (target_id, event_id)
);
CREATE INDEX webhook_call_due ON webhook_call (target_id, given_up, due);

CREATE TABLE webhook_attempt (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    target_id INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    event_id  BIGINT  NOT NULL,
    kind      TEXT    NOT NULL,
    attempt   INTEGER NOT NULL,
    outcome   TEXT    NOT NULL CHECK (outcome IN ('delivered', 'rejected', 'deferred', 'failed')),
    status    INTEGER NOT NULL, -- 0: no answer
    latency   INTEGER NOT NULL, -- microseconds
    error     TEXT    NOT NULL,
    answer    TEXT    NOT NULL
);
CREATE INDEX webhook_attempt_target ON webhook_attempt (target_id, id);

CREATE TABLE signing_key (
    account_id INTEGER PRIMARY KEY,
    secret     TEXT    NOT NULL CHECK (secret <> ''),
    previous   TEXT    NOT NULL, -- empty: none
    signs_from INTEGER NOT NULL, -- until then previous signs
    created_at INTEGER NOT NULL
);

-- The audit log also tells of webhooks. What kinds there are is the program's business;
-- that rows are only ever added stays the database's.
DROP TRIGGER audit_is_not_changed;
DROP TRIGGER audit_is_not_deleted;
CREATE TABLE audit_new (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL, -- microseconds since 1970, UTC
    actor   TEXT    NOT NULL CHECK (actor <> ''),
    action  TEXT    NOT NULL CHECK (action <> ''),
    kind    TEXT    NOT NULL CHECK (kind <> ''),
    object  TEXT    NOT NULL,
    domain  TEXT    NOT NULL, -- sending domain, or target of an override; empty: none
    before  TEXT    NOT NULL, -- JSON; empty: it did not exist
    after   TEXT    NOT NULL, -- JSON; empty: it exists no more
    reason  TEXT    NOT NULL,
    details TEXT    NOT NULL  -- JSON; empty: none
);
INSERT INTO audit_new (id, at, actor, action, kind, object, domain, before, after, reason, details)
SELECT id, at, actor, action, kind, object, domain, before, after, reason, details FROM audit ORDER BY id;
DROP TABLE audit;
ALTER TABLE audit_new RENAME TO audit;
CREATE INDEX audit_domain ON audit (domain, id);

-- +goose StatementBegin
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only appended to');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only appended to');
END;
-- +goose StatementEnd
