-- +goose Up

-- A line of counters. names are lower case where case does not matter; shown is how the first
-- was first written. Times are seconds since 1970.
CREATE TABLE series (
    id          INTEGER PRIMARY KEY,
    domain_id   INTEGER NOT NULL,
    view        INTEGER NOT NULL CHECK (view BETWEEN 0 AND 255),
    name        TEXT    NOT NULL,
    second_name TEXT    NOT NULL,
    shown       TEXT    NOT NULL,
    description TEXT    NOT NULL,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    UNIQUE (domain_id, view, name, second_name)
) STRICT;

-- hour is in hours since 1970: of the hour that was counted, or the first of the day or month
-- that hours were made into.
CREATE TABLE counter (
    series_id INTEGER NOT NULL,
    hour      INTEGER NOT NULL,
    counter   INTEGER NOT NULL CHECK (counter BETWEEN 1 AND 255),
    n         INTEGER NOT NULL CHECK (n > 0),
    PRIMARY KEY (series_id, hour, counter)
) STRICT, WITHOUT ROWID;

-- What counts once for a message and recipient, and was counted.
CREATE TABLE counted_once (
    message_id INTEGER NOT NULL,
    recipient  TEXT    NOT NULL,
    counter    INTEGER NOT NULL,
    PRIMARY KEY (message_id, recipient, counter)
) STRICT, WITHOUT ROWID;

-- How far the event log was counted, and until when hours are days, and days months.
CREATE TABLE counted (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    up_to    INTEGER NOT NULL
) STRICT;
CREATE TABLE thinned (
    only_row     INTEGER PRIMARY KEY CHECK (only_row = 1),
    days_until   INTEGER NOT NULL,
    months_until INTEGER NOT NULL
) STRICT;
INSERT INTO thinned (only_row, days_until, months_until) VALUES (1, 0, 0);
