package proof

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Checkpoint is what is signed of a day: its tree as it is now, and the day
// before. Its text is a C2SP tlog-checkpoint: origin, size and root, then lines of ours.
type Checkpoint struct {
	Origin string    // name of the key that signs
	Day    string    // 2006-01-02, UTC
	Size   int64     // records; at least 1
	Root   tlog.Hash // of the tree of that size
	Octets int64     // of the file of the records, line ends included
	Time   time.Time // when it was signed, to the second, by the server's clock
	// Previous is the last day before that has records, and PreviousHash the SHA-256
	// of the text of the checkpoint that sealed it. Empty and zero: this is the first day.
	Previous     string
	PreviousHash tlog.Hash
	// Sealed: the day is over, and no record will be added.
	Sealed bool
}

const noPrevious = "none"

// Text returns what is signed.
func (c *Checkpoint) Text() string {
	previous, state := noPrevious, "open"
	if c.Previous != "" {
		previous = c.Previous + " " + c.PreviousHash.String()
	}
	if c.Sealed {
		state = "sealed"
	}
	return fmt.Sprintf("%s/%s\n%d\n%v\noctets %d\ntime %s\nprevious %s\nstate %s\n", c.Origin, c.Day, c.Size, c.Root,
		c.Octets, c.Time.UTC().Format(time.RFC3339), previous, state)
}

// Hash returns what the next day's checkpoint holds of this one.
func (c *Checkpoint) Hash() tlog.Hash { return sha256.Sum256([]byte(c.Text())) }

// ParseCheckpoint reads what Text wrote, and nothing else.
func ParseCheckpoint(text string) (Checkpoint, error) {
	c, err := parseCheckpoint(strings.Split(text, "\n"))
	if err == nil && c.Text() != text {
		err = errors.New("it is not in its usual form")
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read a checkpoint: %w", err)
	}
	return c, nil
}

func parseCheckpoint(lines []string) (c Checkpoint, err error) {
	if len(lines) != 8 || lines[7] != "" {
		return c, errors.New("it does not have seven lines")
	}
	slash := strings.LastIndexByte(lines[0], '/')
	if slash < 1 {
		return c, errors.New("its first line names no log and day")
	}
	c.Origin, c.Day = lines[0][:slash], lines[0][slash+1:]
	if !IsDay(c.Day) {
		return c, errors.New("its first line names no day")
	}
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 1 {
		return c, errors.New("its second line is not a number of records")
	}
	if c.Root, err = parseHash(lines[2]); err != nil {
		return c, errors.New("its third line is not a hash")
	}
	octets, _ := strings.CutPrefix(lines[3], "octets ")
	if c.Octets, err = strconv.ParseInt(octets, 10, 64); err != nil || c.Octets < c.Size {
		return c, errors.New("it does not say how many octets the records have")
	}
	at, _ := strings.CutPrefix(lines[4], "time ")
	if c.Time, err = time.Parse(time.RFC3339, at); err != nil {
		return c, errors.New("it does not say when it was signed")
	}
	previous, ok := strings.CutPrefix(lines[5], "previous ")
	if day, hash, named := strings.Cut(previous, " "); named && IsDay(day) && day < c.Day {
		c.Previous = day
		if c.PreviousHash, err = parseHash(hash); err != nil {
			return c, errors.New("the hash of the day before is not one")
		}
	} else if !ok || previous != noPrevious {
		return c, errors.New("it does not name the day before")
	}
	c.Sealed = lines[6] == "state sealed"
	return c, nil
}

func parseHash(s string) (h tlog.Hash, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, errors.New("not a hash")
	}
	return tlog.Hash(b), nil
}

// IsDay reports whether s is a day, written 2006-01-02.
func IsDay(s string) bool {
	t, err := time.Parse(time.DateOnly, s)
	return err == nil && t.Format(time.DateOnly) == s
}

// OpenCheckpoint reads a signed checkpoint. At least one signature must be of a known
// key with the name that the checkpoint has as its origin.
func OpenCheckpoint(signed string, keys note.Verifiers) (Checkpoint, error) {
	n, err := note.Open([]byte(signed), keys)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the signature does not verify: %w", err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return c, err
	}
	if !signedBy(n, c.Origin) {
		return c, fmt.Errorf("it is signed by %q and not by %q, whose checkpoint it says it is", n.Sigs[0].Name, c.Origin)
	}
	return c, nil
}

func signedBy(n *note.Note, name string) bool {
	for _, s := range n.Sigs {
		if s.Name == name {
			return true
		}
	}
	return false
}

// Keys returns the verifiers of some verifier keys, as a server prints them
// (C2SP signed-note). One given twice is one.
func Keys(keys []string) (note.Verifiers, error) {
	type id struct {
		name string
		hash uint32
	}
	seen := map[id]bool{}
	var list []note.Verifier
	for _, k := range keys {
		v, err := note.NewVerifier(strings.TrimSpace(k))
		if err != nil {
			return nil, fmt.Errorf("%.200q is not a verifier key: it looks like mail.example.com/evidence+0a1b2c3d+AZ…", k)
		}
		if key := (id{v.Name(), v.KeyHash()}); !seen[key] {
			seen[key] = true
			list = append(list, v)
		}
	}
	return note.VerifierList(list...), nil
}
