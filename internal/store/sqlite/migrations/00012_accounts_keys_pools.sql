-- +goose Up
-- Accounts: the primary one, which every installation has, and its sub-accounts.
CREATE TABLE account (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
    ref        TEXT    NOT NULL UNIQUE CHECK (length(ref) = 24), -- how clients name it
    name       TEXT    NOT NULL CHECK (name <> ''),
    disabled   INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at INTEGER NOT NULL, -- microseconds since 1970, UTC
    updated_at INTEGER NOT NULL,
    settings   TEXT    NOT NULL  -- JSON
);
INSERT INTO account (id, ref, name, disabled, created_at, updated_at, settings)
VALUES (1, lower(hex(randomblob(12))), 'primary', 0, unixepoch() * 1000000, unixepoch() * 1000000, '{}');

-- Groups of our own addresses to send from.
CREATE TABLE ip_pool (
    id          TEXT    PRIMARY KEY CHECK (length(id) = 24),
    account_id  INTEGER NOT NULL REFERENCES account (id),
    name        TEXT    NOT NULL CHECK (name <> ''),
    description TEXT    NOT NULL,
    ips         TEXT    NOT NULL, -- JSON
    created_at  INTEGER NOT NULL
);
CREATE INDEX ip_pool_account ON ip_pool (account_id);

-- A domain has several DKIM keys.
ALTER TABLE domain ADD COLUMN dkim TEXT NOT NULL DEFAULT '[]'; -- JSON
UPDATE domain SET dkim = json_array(json_object('selector', dkim_selector, 'private', dkim_private, 'public', dkim_public, 'active', json('true')))
WHERE dkim_selector <> '';
ALTER TABLE domain DROP COLUMN dkim_selector;
ALTER TABLE domain DROP COLUMN dkim_private;
ALTER TABLE domain DROP COLUMN dkim_public;

-- Keys have more roles, kinds, an end, and limits; and it is known when they were used.
CREATE TABLE api_key_new (
    id          TEXT    PRIMARY KEY,
    hash        BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    role        TEXT    NOT NULL CHECK (role IN ('admin', 'developer', 'basic', 'sending', 'public')),
    kind        TEXT    NOT NULL CHECK (kind IN ('user', 'domain', 'web', 'public')),
    account_id  INTEGER NOT NULL,
    domain_id   INTEGER NOT NULL, -- 0: every domain of the account
    description TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL, -- 0: never
    disabled    INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    details     TEXT    NOT NULL, -- JSON
    used_at     INTEGER NOT NULL, -- 0: never
    used_day    TEXT    NOT NULL, -- 2006-01-02, UTC; of the count beside it
    used_sends  INTEGER NOT NULL CHECK (used_sends >= 0)
);
INSERT INTO api_key_new (id, hash, role, kind, account_id, domain_id, description, created_at, updated_at, expires_at, disabled, details, used_at, used_day, used_sends)
SELECT id, hash, role, CASE domain_id WHEN 0 THEN 'user' ELSE 'domain' END, account_id, domain_id, description, created_at, created_at, 0, 0, '{}', 0, '', 0 FROM api_key;
DROP TABLE api_key;
ALTER TABLE api_key_new RENAME TO api_key;
