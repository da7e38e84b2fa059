package sqlite

// dayVersion is the PRAGMA user_version of the day files this program writes and
// the newest that it reads.
const dayVersion = 2

// versionTags is the first version that has an index of tags.
const versionTags = 2

// versionBases is the first version of the day files that have bases. Older files stay as they
// are: their last mail is of the day of the update.
const versionBases = 2

// daySchema makes the tables of a day file. Times are microseconds since 1970.
//
//   - message: meta is kept once per message, not with each event. Its rows have
//     consecutive ids from first_row on, so finding them needs no index.
//   - body: apart, so that counting pending down does not rewrite it. Codec 0 is raw, 1
//     is an S2 block, 2 is a file in the folder of big contents, 3 a delta against a
//     base. sum is the SHA-256 of the octets as they travel.
//   - base: what the copies of a batch have in common, with the number of deltas that refer to
//     it; none yet while the batch is being accepted.
//   - queue_ready is the only index of the queue: next hops, due order, and
//     nothing that is held.
//   - recipient finds a recipient's messages: one random insert per recipient of a
//     message, where an index on event would cost one per event.
//   - event_msg has the type as well, so that the deliveries among the events of a newsletter's
//     thousand copies are found without reading all of them. Files of version 1 do without it.
//   - event_tag finds the events of a domain's messages with a tag, by type and in order; message_tag
//     says which tags an event to come belongs to.
//   - event.rcpt is in lower case, as it is compared; raw is the address as it was
//     given, where that is something else.
const daySchema = `
CREATE TABLE message (
    id        INTEGER PRIMARY KEY,
    domain    INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    pending   INTEGER NOT NULL CHECK (pending BETWEEN 0 AND row_count),
    size      INTEGER NOT NULL CHECK (size >= 0),
    mid       TEXT    NOT NULL,
    envelope  TEXT    NOT NULL,
    meta      TEXT    NOT NULL
) STRICT;
CREATE INDEX message_mid ON message (domain, mid);

CREATE TABLE body (
    id    INTEGER PRIMARY KEY,
    codec INTEGER NOT NULL CHECK (codec IN (0, 1, 2, 3)),
    size  INTEGER NOT NULL CHECK (size >= 0),
    sum   BLOB    NOT NULL CHECK (length(sum) = 32),
    data  BLOB    NOT NULL,
    base  INTEGER NOT NULL CHECK ((base <> 0) = (codec = 3))
) STRICT;

CREATE TABLE base (
    id    INTEGER PRIMARY KEY,
    refs  INTEGER NOT NULL CHECK (refs >= 0),
    codec INTEGER NOT NULL CHECK (codec IN (0, 1, 2)),
    size  INTEGER NOT NULL CHECK (size >= 0),
    sum   BLOB    NOT NULL CHECK (length(sum) = 32),
    data  BLOB    NOT NULL
) STRICT;

CREATE TABLE queue (
    id      INTEGER PRIMARY KEY,
    msg     INTEGER NOT NULL,
    domain  INTEGER NOT NULL,
    dest    TEXT    NOT NULL,
    rcpt    TEXT    NOT NULL,
    due     INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    held    INTEGER NOT NULL CHECK (held IN (0, 1)),
    last    TEXT    NOT NULL
) STRICT;
CREATE INDEX queue_ready ON queue (dest, due) WHERE held = 0;

CREATE TABLE event (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    domain INTEGER NOT NULL,
    type   INTEGER NOT NULL CHECK (type BETWEEN 0 AND 255),
    msg    INTEGER NOT NULL,
    rcpt   TEXT    NOT NULL,
    raw    TEXT,
    data   TEXT    NOT NULL
) STRICT;
CREATE INDEX event_msg ON event (msg, type);
CREATE INDEX event_domain ON event (domain, type);

CREATE TABLE recipient (
    domain INTEGER NOT NULL,
    rcpt   TEXT    NOT NULL,
    msg    INTEGER NOT NULL,
    PRIMARY KEY (domain, rcpt, msg)
) STRICT, WITHOUT ROWID;

CREATE TABLE tag (
    id     INTEGER PRIMARY KEY,
    domain INTEGER NOT NULL,
    name   TEXT    NOT NULL,
    UNIQUE (domain, name)
) STRICT;

CREATE TABLE message_tag (
    msg INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    PRIMARY KEY (msg, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE event_tag (
    tag   INTEGER NOT NULL,
    type  INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (tag, type, event)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
`
