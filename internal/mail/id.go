package mail

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// An ID names a message, a queue row or an event. Ids are positive, unique in
// one installation and sort by the moment they were given: 41 bits of
// milliseconds since 2024, 6 bits of node, 16 bits of sequence. The id
// alone therefore tells the accept-day of a message, and with it the file or
// partition that holds it. The zero ID means "none".
type ID int64

// epoch is the zero of an ID's clock. Forty-one bits of milliseconds from here
// last until September 2093; from 1970 they would end in 2039.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	idSequenceBits = 16
	idNodeBits     = 6
	idTimeShift    = idSequenceBits + idNodeBits
	idMaxMillis    = 1<<41 - 1

	// MaxNode is the largest node number an ID can carry.
	MaxNode = 1<<idNodeBits - 1
)

// FirstID returns the smallest id that a node could give at t. It is the lower
// bound of a range of ids that starts at t. Times outside the range of an ID
// are moved to its nearest end.
func FirstID(t time.Time) ID {
	ms := t.Sub(epoch).Milliseconds()
	return ID(min(max(ms, 0), idMaxMillis) << idTimeShift)
}

// Time returns the moment the id was given, to the millisecond, in UTC.
func (id ID) Time() time.Time {
	return epoch.Add(time.Duration(id>>idTimeShift) * time.Millisecond)
}

// Day returns the UTC day of the id as 2006-01-02.
func (id ID) Day() string { return id.Time().Format(time.DateOnly) }

// String returns the id as 16 lower-case hexadecimal digits, which sort like
// the ids themselves.
func (id ID) String() string { return fmt.Sprintf("%016x", int64(id)) }

// ParseID reads what [ID.String] wrote.
func ParseID(s string) (ID, error) {
	if len(s) != 16 {
		return 0, errors.New("an id has 16 hexadecimal digits")
	}
	n, err := strconv.ParseInt(s, 16, 64)
	if err != nil || n <= 0 {
		return 0, errors.New("an id has 16 hexadecimal digits")
	}
	return ID(n), nil
}

// IDs gives ids. Within one IDs they only ever grow, also when the wall clock
// jumps back (REL-28). It is safe for concurrent use.
type IDs struct {
	node ID

	mu  sync.Mutex
	ms  int64 // the millisecond that ids are given from, never less than before
	seq int   // next sequence number within it
}

// NewIDs returns a source of ids for the given node (0 to [MaxNode]). Its ids
// are larger than after, the largest id known to exist.
func NewIDs(node int, after ID) (*IDs, error) {
	if node < 0 || node > MaxNode {
		return nil, fmt.Errorf("node %d is not within 0 to %d", node, MaxNode)
	}
	g := &IDs{node: ID(node) << idSequenceBits}
	if after > 0 {
		g.ms = int64(after>>idTimeShift) + 1
	}
	return g, nil
}

// Next gives one id.
func (g *IDs) Next() ID { return g.Reserve(1) }

// Reserve gives n ids (1 to 65,536) that follow each other and returns the
// first; the others are that id plus 1 up to n-1. More than 65,536 is a bug of
// the caller and panics.
func (g *IDs) Reserve(n int) ID {
	const sequences = 1 << idSequenceBits
	if n < 1 || n > sequences {
		panic(fmt.Sprintf("mail: Reserve(%d)", n))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Since(epoch).Milliseconds(); now > g.ms {
		g.ms, g.seq = now, 0
	}
	if g.seq+n > sequences { // used up: borrow the next millisecond
		g.ms, g.seq = g.ms+1, 0
	}
	first := ID(g.ms)<<idTimeShift | g.node | ID(g.seq)
	g.seq += n
	return first
}
