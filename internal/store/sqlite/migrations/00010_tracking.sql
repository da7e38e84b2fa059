-- +goose Up
-- Secrets with which the links in tracked mail are signed. The newest signs, all verify.
CREATE TABLE link_key (
    id         BIGINT PRIMARY KEY CHECK (id > 0),
    secret     BLOB   NOT NULL CHECK (length(secret) = 32),
    created_at BIGINT NOT NULL -- microseconds since 1970, UTC
);
