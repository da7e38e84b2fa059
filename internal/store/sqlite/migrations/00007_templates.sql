-- +goose Up
CREATE TABLE template (
    id          TEXT    PRIMARY KEY,
    domain_id   INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL CHECK (name <> ''),
    description TEXT    NOT NULL,
    created_by  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL, -- microseconds since 1970, UTC
    UNIQUE (domain_id, name)
);

CREATE TABLE template_version (
    id          TEXT    PRIMARY KEY,
    template_id TEXT    NOT NULL REFERENCES template (id) ON DELETE CASCADE,
    tag         TEXT    NOT NULL CHECK (tag <> ''),
    body        TEXT    NOT NULL,
    comment     TEXT    NOT NULL,
    headers     TEXT    NOT NULL, -- JSON
    active      INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at  INTEGER NOT NULL,
    UNIQUE (template_id, tag)
);
CREATE UNIQUE INDEX template_version_active ON template_version (template_id) WHERE active = 1;
