-- +goose Up
-- Exceptions for recipient domains and MX hosts. Empty words set nothing.
CREATE TABLE override (
    id            INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: the audit log names it
    target        TEXT    NOT NULL CHECK (target <> ''),
    mx_host       INTEGER NOT NULL CHECK (mx_host IN (0, 1)), -- target is an MX host, not a recipient domain
    dane          TEXT    NOT NULL CHECK (dane IN ('', 'honor', 'audit', 'ignore')),
    sts           TEXT    NOT NULL CHECK (sts IN ('', 'honor', 'audit', 'ignore')),
    requirement   TEXT    NOT NULL CHECK (requirement IN ('', 'OV', 'OA', 'RV', 'RA')),
    min_tls       TEXT    NOT NULL CHECK (min_tls IN ('', '1.0', '1.1', '1.2', '1.3')),
    on_unverified TEXT    NOT NULL CHECK (on_unverified IN ('', 'plaintext', 'encrypt')),
    client_cert   TEXT    NOT NULL,
    author        TEXT    NOT NULL,
    reason        TEXT    NOT NULL CHECK (reason <> ''),
    created_at    INTEGER NOT NULL, -- microseconds since 1970, UTC
    expires_at    INTEGER NOT NULL, -- 0: never
    noted         INTEGER NOT NULL CHECK (noted IN (0, 1)), -- the audit log knows that it ended
    -- Whatever lowers security has an end.
    CHECK (expires_at > created_at OR expires_at = 0
        AND dane NOT IN ('audit', 'ignore') AND sts NOT IN ('audit', 'ignore')
        AND requirement IN ('', 'RV') AND min_tls IN ('', '1.3') AND on_unverified <> 'plaintext')
);

-- Who changed what. Rows are only ever added.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL, -- microseconds since 1970, UTC
    actor   TEXT    NOT NULL CHECK (actor <> ''),
    action  TEXT    NOT NULL CHECK (action IN ('create', 'update', 'replace', 'delete', 'expire')),
    kind    TEXT    NOT NULL CHECK (kind IN ('domain', 'override', 'key', 'credential', 'evidence')),
    object  TEXT    NOT NULL,
    domain  TEXT    NOT NULL, -- sending domain, or target of an override; empty: none
    before  TEXT    NOT NULL, -- JSON; empty: it did not exist
    after   TEXT    NOT NULL, -- JSON; empty: it exists no more
    reason  TEXT    NOT NULL,
    details TEXT    NOT NULL  -- JSON; empty: none
);
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
