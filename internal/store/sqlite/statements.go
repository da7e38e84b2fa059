package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// reads are the queries that pass with every message. They end with their pool.
type reads struct {
	freeRows, message, body *sql.Stmt
}

func (r *reads) prepare(db *sql.DB, version int) (err error) {
	ctx := context.Background()
	base := `b.base`
	if version < versionBases {
		base = `0`
	}
	if r.freeRows, err = db.PrepareContext(ctx, `SELECT `+rowColumns+` FROM queue INDEXED BY queue_ready
		WHERE held = 0 AND dest = $1 ORDER BY due, id`); err != nil {
		return err
	}
	if r.message, err = db.PrepareContext(ctx, `SELECT envelope, meta, size, pending FROM message WHERE id = $1 AND domain = $2`); err != nil {
		return err
	}
	r.body, err = db.PrepareContext(ctx, `SELECT b.codec, b.size, b.sum, b.data, `+base+` FROM body b JOIN message m ON m.id = b.id
		WHERE b.id = $1 AND m.domain = $2`)
	return err
}

// statements are prepared on the writing connection itself and run there as they
// are. Through a sql.Tx they would be prepared anew with every call.
type statements struct {
	begin, commit, rollback             *sql.Stmt
	savepoint, rollbackTo, releasePoint *sql.Stmt

	insertMessage, insertBody, insertRow, insertEvent, insertRecipient *sql.Stmt

	deleteRow, deferRow, countDown, rescheduleRow, holdRow, deleteBody, deleteOrphan *sql.Stmt

	// Nil in files of versions that do not have their tables.
	insertBase, referBase, unreferBase, deleteUnusedBase    *sql.Stmt
	insertTag, tagNumber, insertMessageTag, insertEventTags *sql.Stmt

	all []*sql.Stmt
}

func (st *statements) prepare(ctx context.Context, conn *sql.Conn, version int) error {
	list := st.list()
	if version >= versionBases {
		list = append(list, st.newer()...)
	} else {
		list = append(list, statement{&st.insertBody, `INSERT INTO body (id, codec, size, sum, data) VALUES ($1, $2, $3, $4, $5)`})
	}
	for _, s := range list {
		var err error
		if *s.to, err = conn.PrepareContext(ctx, s.sql); err != nil {
			return err
		}
		st.all = append(st.all, *s.to)
	}
	return nil
}

// A statement is one to be prepared.
type statement struct {
	to  **sql.Stmt
	sql string
}

// newer are the statements of files that have bases and tags.
func (st *statements) newer() []statement {
	return []statement{
		{&st.insertBody, `INSERT INTO body (id, codec, size, sum, data, base) VALUES ($1, $2, $3, $4, $5, $6)`},
		{&st.insertBase, `INSERT INTO base (id, refs, codec, size, sum, data) VALUES ($1, 0, $2, $3, $4, $5)`},
		{&st.referBase, `UPDATE base SET refs = refs + $2 WHERE id = $1`},
		{&st.unreferBase, `UPDATE base SET refs = refs - 1 WHERE id = $1`},
		{&st.insertTag, `INSERT INTO tag (domain, name) VALUES ($1, $2) ON CONFLICT DO NOTHING`},
		{&st.tagNumber, `SELECT id FROM tag WHERE domain = $1 AND name = $2`},
		{&st.insertMessageTag, `INSERT INTO message_tag (msg, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING`},
		{&st.insertEventTags, `INSERT INTO event_tag (tag, type, event) SELECT tag, $2, $3 FROM message_tag WHERE msg = $1`},
		{&st.deleteUnusedBase, `DELETE FROM base WHERE id = $1 AND refs = 0`},
	}
}

func (st *statements) list() []statement {
	return []statement{
		{&st.begin, `BEGIN IMMEDIATE`},
		{&st.commit, `COMMIT`},
		{&st.rollback, `ROLLBACK`},
		{&st.savepoint, `SAVEPOINT op`},
		{&st.rollbackTo, `ROLLBACK TO op`},
		{&st.releasePoint, `RELEASE op`},

		{&st.insertMessage, `INSERT INTO message (id, domain, first_row, row_count, pending, size, mid, envelope, meta)
			VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8)`},
		{&st.insertRow, `INSERT INTO queue (id, msg, domain, dest, rcpt, due, expires, attempt, held, last)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`},
		{&st.insertEvent, `INSERT INTO event (id, at, domain, type, msg, rcpt, raw, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`},
		{&st.insertRecipient, `INSERT INTO recipient (domain, rcpt, msg) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`},

		{&st.deleteRow, `DELETE FROM queue WHERE id = $1 AND msg = $2 AND domain = $3`},
		{&st.deferRow, `UPDATE queue SET due = $4, attempt = $5, last = $6 WHERE id = $1 AND msg = $2 AND domain = $3`},
		{&st.countDown, `UPDATE message SET pending = pending - $2 WHERE id = $1`},
		{&st.rescheduleRow, `UPDATE queue SET due = $2,
			expires = CASE WHEN attempt = 0 AND expires > 0 THEN max(expires + $2 - due, 1) ELSE expires END WHERE id = $1`},
		{&st.holdRow, `UPDATE queue SET held = $2 WHERE id = $1 AND held <> $2`},
		{&st.deleteBody, `DELETE FROM body WHERE id = $1 AND (SELECT pending FROM message WHERE message.id = $1) = 0`},
		{&st.deleteOrphan, `DELETE FROM body WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = $1)`},
	}
}

func (st *statements) close() error {
	var errs []error
	for _, s := range st.all {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
