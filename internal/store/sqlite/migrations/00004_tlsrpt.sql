-- +goose Up
-- TLS sessions by day and policy (RFC 8460). A policy is known by a hash of itself,
-- because its text may be long.
CREATE TABLE tls_policy (
    day       TEXT   NOT NULL, -- 2006-01-02, UTC
    domain    TEXT   NOT NULL, -- policy domain
    hash      TEXT   NOT NULL,
    policy    TEXT   NOT NULL, -- JSON
    successes BIGINT NOT NULL CHECK (successes >= 0),
    failures  BIGINT NOT NULL CHECK (failures >= 0),
    PRIMARY KEY (day, domain, hash)
);

-- Sessions that failed, by what they have in common.
CREATE TABLE tls_failure (
    day          TEXT   NOT NULL,
    domain       TEXT   NOT NULL,
    hash         TEXT   NOT NULL,
    result       TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    mx_host      TEXT   NOT NULL,
    receiving_ip TEXT   NOT NULL,
    sending_ip   TEXT   NOT NULL,
    sessions     BIGINT NOT NULL CHECK (sessions > 0),
    PRIMARY KEY (day, domain, hash, result, reason, mx_host, receiving_ip, sending_ip)
);

-- The report of a day to a policy domain, and how far it is.
CREATE TABLE tls_report (
    day          TEXT    NOT NULL,
    domain       TEXT    NOT NULL,
    report_id    TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('waiting', 'sent', 'refused', 'given-up')),
    due          BIGINT  NOT NULL, -- microseconds since 1970, UTC
    give_up      BIGINT  NOT NULL,
    attempts     INTEGER NOT NULL CHECK (attempts >= 0),
    note         TEXT    NOT NULL,
    destinations TEXT    NOT NULL, -- JSON
    PRIMARY KEY (day, domain)
);
CREATE INDEX tls_report_due ON tls_report (due) WHERE state = 'waiting';
