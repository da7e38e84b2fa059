package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Events of messages with a tag are found by an index of their own: a page of a tag that one message
// in a thousand has would else be found by looking at a thousand pages. Tags have numbers in
// each file, since their names would be most of the index.

const (
	// maxTagNames bounds the tags whose number a committer remembers.
	maxTagNames = 10_000
	// tagProbe is how many entries of each tag are counted to find the rarest.
	tagProbe = 20_000
)

// A tagName is a tag of a domain, in lower case, as tags are compared.
type tagName struct {
	domain int64
	name   string
}

// forgetTags is called when numbers that were given may have been taken back.
func (w *writer) forgetTags() { clear(w.tags) }

// tagNumber returns the number of a tag, giving it one if it is new.
func (b *batch) tagNumber(t tagName) (int64, error) {
	w := b.w
	if n, ok := w.tags[t]; ok {
		return n, nil
	}
	ctx := context.Background()
	if _, err := w.st.insertTag.ExecContext(ctx, t.domain, t.name); err != nil {
		return 0, err
	}
	var n int64
	if err := w.st.tagNumber.QueryRowContext(ctx, t.domain, t.name).Scan(&n); err != nil {
		return 0, err
	}
	if len(w.tags) >= maxTagNames {
		clear(w.tags)
	}
	w.tags[t] = n
	return n, nil
}

// insertTags notes the tags of a message, before any event of it.
func (b *batch) insertTags(m *store.NewMessage) error {
	if len(m.Meta.Tags) == 0 || b.w.day.version < versionTags {
		return nil
	}
	for _, t := range m.Meta.Tags {
		n, err := b.tagNumber(tagName{m.DomainID, strings.ToLower(t)})
		if err != nil {
			return err
		}
		if _, err := b.w.st.insertMessageTag.ExecContext(context.Background(), int64(m.ID), n); err != nil {
			return err
		}
	}
	b.w.day.tagged.Store(true)
	return nil
}

// indexTags puts an event into the index of the tags that its message has. Days without any
// tag do not pay for it.
func (b *batch) indexTags(id mail.ID, e *event.Record) error {
	if !b.w.day.tagged.Load() {
		return nil
	}
	_, err := b.w.st.insertEventTags.ExecContext(context.Background(), int64(e.Message), int64(e.Type), int64(id))
	return err
}

// findTags looks whether the file has any tag.
func (w *writer) findTags(ctx context.Context) error {
	if w.day.version < versionTags {
		return nil
	}
	var any bool
	if err := w.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM tag)`).Scan(&any); err != nil {
		return err
	}
	w.day.tagged.Store(any)
	return nil
}

// tagNumbers returns the numbers of tags in the file, the rarest first; ok is false if one of them is
// nobody's there.
func (d *day) tagNumbers(ctx context.Context, domainID int64, tags []string) (numbers []int64, ok bool, err error) {
	least := 0
	for _, t := range tags {
		var n int64
		err := d.read.QueryRowContext(ctx, `SELECT id FROM tag WHERE domain = $1 AND name = $2`, domainID, strings.ToLower(t)).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		numbers = append(numbers, n)
		if len(tags) == 1 {
			break
		}
		count, err := d.countTag(ctx, n)
		if err != nil {
			return nil, false, err
		}
		if last := len(numbers) - 1; last == 0 || count < least {
			least = count
			numbers[0], numbers[last] = numbers[last], numbers[0]
		}
	}
	return numbers, true, nil
}

// countTag counts the events with a tag up to tagProbe. Events are only added, so one that has so
// many is counted once.
func (d *day) countTag(ctx context.Context, number int64) (count int, err error) {
	if _, ok := d.common.Load(number); ok {
		return tagProbe, nil
	}
	err = d.read.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM event_tag WHERE tag = $1 LIMIT $2)`, number, tagProbe).Scan(&count)
	if err == nil && count == tagProbe {
		d.common.Store(number, struct{}{})
	}
	return count, err
}

// tagRuns returns the statements that find events with all of the tags: an ordered run of the
// index per type, as without tags.
func tagRuns(numbers []int64, types []event.Type) []string {
	var others strings.Builder
	for _, n := range numbers[1:] {
		fmt.Fprintf(&others, ` AND EXISTS (SELECT 1 FROM event_tag o WHERE o.tag = %d AND o.type = t.type AND o.event = t.event)`, n)
	}
	var runs []string
	for _, t := range types {
		runs = append(runs, fmt.Sprintf(`SELECT t.event AS id FROM event_tag t WHERE t.tag = %d AND t.type = %d AND t.event > $2 AND t.event < $3%s`,
			numbers[0], uint8(t), others.String()))
	}
	return runs
}
