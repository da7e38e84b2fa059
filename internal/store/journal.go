package store

import (
	"context"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
)

// Journal is the event log as one line of events, those of all domains together,
// for rooms that must see every event exactly once and in order: they keep the
// cursor, and begin again from it after a stop.
type Journal interface {
	// Journal returns one page, oldest first. The guarantee is that of [Events]: an
	// event once passed over is never returned for a later cursor.
	Journal(ctx context.Context, q JournalQuery) (JournalPage, error)
}

// A JournalQuery asks for what happened after a cursor.
type JournalQuery struct {
	After mail.ID // exclusive; zero is the beginning
	Limit int     // 1 to 1,000 events
	// Types are the types that are returned; none means all. Events of other
	// types are passed over cheaply, and count towards Scan.
	Types []event.Type
	// Scan bounds how many events are looked at for one page; 0 means 100,000.
	Scan int
}

// A JournalPage is a run of events.
type JournalPage struct {
	Items []EventItem // by id
	// Cursor is the id up to which every event was seen: none with this or a
	// smaller id will ever appear. At the end of the log it is close to the present, also
	// when nothing has happened for days.
	Cursor mail.ID
	// More is set when the page ended by Limit or Scan and not by the end of the log.
	More bool
}
