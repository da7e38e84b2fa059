-- +goose Up
CREATE TABLE route (
    id          TEXT    PRIMARY KEY,
    account_id  INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    description TEXT    NOT NULL,
    expression  TEXT    NOT NULL,
    actions     TEXT    NOT NULL, -- JSON
    created_at  INTEGER NOT NULL  -- microseconds since 1970, UTC
);
CREATE INDEX route_account ON route (account_id, priority, created_at);

CREATE TABLE mailing_list (
    id               INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
    account_id       INTEGER NOT NULL,
    domain_id        INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
    address          TEXT    NOT NULL UNIQUE CHECK (address = lower(address)),
    name             TEXT    NOT NULL,
    description      TEXT    NOT NULL,
    access_level     TEXT    NOT NULL CHECK (access_level IN ('readonly', 'members', 'everyone')),
    reply_preference TEXT    NOT NULL CHECK (reply_preference IN ('list', 'sender')),
    created_at       INTEGER NOT NULL
);
CREATE INDEX mailing_list_account ON mailing_list (account_id, address);

CREATE TABLE list_member (
    list_id    INTEGER NOT NULL REFERENCES mailing_list (id) ON DELETE CASCADE,
    address    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    vars       TEXT    NOT NULL, -- JSON
    subscribed INTEGER NOT NULL CHECK (subscribed IN (0, 1)),
    PRIMARY KEY (list_id, address)
);
