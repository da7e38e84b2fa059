-- +goose Up
-- How far the followers of the event log have come.
CREATE TABLE cursor (
    name     TEXT   PRIMARY KEY,
    position BIGINT NOT NULL CHECK (position >= 0) -- id of an event; 63 bits
);
