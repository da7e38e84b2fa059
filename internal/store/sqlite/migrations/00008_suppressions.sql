-- +goose Up
-- Who gets no mail of a domain, or never bounces: lists of 1 bounces, 2 unsubscribes, 3 complaints, 4 allowlist.
-- The key is the value in lower case; its order is that of octets (elsewhere: COLLATE "C"). There is no
-- foreign key: the entries of a deleted domain are removed in steps, and domain ids are never given again.
CREATE TABLE suppression (
    domain_id  INTEGER NOT NULL,
    list       INTEGER NOT NULL CHECK (list BETWEEN 1 AND 4),
    key        TEXT    NOT NULL CHECK (key <> ''),
    value      TEXT    NOT NULL,
    code       TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    tags       TEXT    NOT NULL CHECK ((tags <> '') = (list = 2)), -- a JSON list
    created_at BIGINT  NOT NULL,
    PRIMARY KEY (domain_id, list, key)
) WITHOUT ROWID;

-- Files of entries that are read in the background, and what became of them.
CREATE TABLE suppression_import (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    domain_id   INTEGER NOT NULL,
    list        INTEGER NOT NULL CHECK (list BETWEEN 1 AND 4),
    file        TEXT    NOT NULL,
    size        BIGINT  NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    records     BIGINT  NOT NULL CHECK (records >= bad),
    bad         BIGINT  NOT NULL CHECK (bad >= 0),
    problems    TEXT    NOT NULL, -- a JSON list
    created_at  BIGINT  NOT NULL,
    finished_at BIGINT  NOT NULL CHECK ((finished_at = 0) = (state = 'running'))
);
CREATE INDEX suppression_import_domain ON suppression_import (domain_id, id);
