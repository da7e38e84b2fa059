-- +goose Up
CREATE TABLE domain (
    id                INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
    name              TEXT    NOT NULL UNIQUE,
    created_at        INTEGER NOT NULL, -- microseconds since 1970, UTC
    state             TEXT    NOT NULL CHECK (state IN ('active', 'unverified', 'disabled')),
    require_tls       INTEGER NOT NULL CHECK (require_tls IN (0, 1, 2)),       -- unset, false, true
    skip_verification INTEGER NOT NULL CHECK (skip_verification IN (0, 1, 2)),
    delivery          TEXT    NOT NULL, -- JSON
    dkim_selector     TEXT    NOT NULL,
    dkim_private      TEXT    NOT NULL,
    dkim_public       TEXT    NOT NULL,
    settings          TEXT    NOT NULL, -- JSON
    checks            TEXT    NOT NULL  -- JSON
);

CREATE TABLE api_key (
    id          TEXT    PRIMARY KEY,
    hash        BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    role        TEXT    NOT NULL CHECK (role IN ('admin', 'sending')),
    domain_id   INTEGER NOT NULL, -- 0: every domain
    description TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
);

CREATE TABLE credential (
    login         TEXT    PRIMARY KEY,
    domain_id     INTEGER NOT NULL REFERENCES domain (id),
    password_hash TEXT    NOT NULL,
    created_at    INTEGER NOT NULL
);
CREATE INDEX credential_domain ON credential (domain_id);

-- The day files that there should be. A file that is listed and missing was lost,
-- not empty; one that is dirty was not closed and must have its write-ahead log.
CREATE TABLE day (
    name  TEXT    PRIMARY KEY, -- 2006-01-02
    dirty INTEGER NOT NULL CHECK (dirty IN (0, 1))
);

-- MX hosts that have completed a TLS handshake with us.
CREATE TABLE peer (
    host    TEXT    PRIMARY KEY,
    seen_at INTEGER NOT NULL -- microseconds since 1970, UTC
);
