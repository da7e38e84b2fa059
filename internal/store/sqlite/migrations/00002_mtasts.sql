-- +goose Up

-- MTA-STS policies of recipient domains (RFC 8461), as fetched.
CREATE TABLE sts_policy (
    domain     TEXT    PRIMARY KEY,
    policy_id  TEXT    NOT NULL,
    body       TEXT    NOT NULL CHECK (length(body) <= 65536),
    fetched_at INTEGER NOT NULL, -- microseconds since 1970, UTC
    expires_at INTEGER NOT NULL CHECK (expires_at > fetched_at),
    used_at    INTEGER NOT NULL
);
CREATE INDEX sts_policy_expires ON sts_policy (expires_at);
