package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
)

// Version is the version of the format of records. Fields are only ever added within one.
const Version = 1

// An Outcome is what became of a recipient's copy in one attempt.
type Outcome string

const (
	Delivered Outcome = "delivered"
	Deferred  Outcome = "deferred" // tried again later
	Bounced   Outcome = "bounced"  // given up
	Expired   Outcome = "expired"  // given up because it grew too old
)

// A Record is the evidence of one attempt for one recipient: which delivery, and
// what its event says about the session. It holds nothing of the message but
// its ids: no content, no subject, no header field.
//
// Its octets, as [Record.Encode] writes them, are what is hashed and signed. They are
// never written again from the values.
type Record struct {
	Version int
	Index   int64   // of the leaf in the tree of its day, from 0
	Event   mail.ID // of the event that it was made from; its day is the record's day
	Time    time.Time
	// DomainID is the number of the sending domain, which no other domain of the same
	// name ever has; Domain is its name.
	DomainID  int64
	Domain    string
	Message   mail.ID // the queue's id of the message
	MessageID string  // Message-ID field without angle brackets
	Recipient string  // address as the envelope had it
	Outcome   Outcome
	Reason    string        // why it failed, as the event has it; empty for deliveries
	SendingIP string        // our address; empty if unknown
	Status    *event.Status // delivery-status of the event, with tls-detail
	// Salt makes the hash of a record impossible to guess for others, who see it as a
	// neighbour in their own proofs.
	Salt []byte
}

// wireRecord is a record's JSON, field by field in the order in which it is written.
type wireRecord struct {
	Version   int           `json:"v"`
	Index     int64         `json:"index"`
	Event     string        `json:"event"`
	Time      time.Time     `json:"time"`
	DomainID  int64         `json:"domain-id"`
	Domain    string        `json:"domain"`
	Message   string        `json:"message"`
	MessageID string        `json:"message-id"`
	Recipient string        `json:"recipient"`
	Outcome   Outcome       `json:"outcome"`
	Reason    string        `json:"reason,omitempty"`
	SendingIP string        `json:"sending-ip,omitempty"`
	Status    *event.Status `json:"delivery-status,omitempty"`
	Salt      []byte        `json:"salt"`
}

// Encode returns the record as one line of JSON without its line end. Whatever a
// remote server said stands in JSON strings, in which control characters are
// escapes, so that no reply can end a record or begin another.
func (r *Record) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(wireRecord{
		Version: Version, Index: r.Index, Event: r.Event.String(), Time: r.Time.UTC(), DomainID: r.DomainID, Domain: r.Domain,
		Message: r.Message.String(), MessageID: r.MessageID, Recipient: r.Recipient, Outcome: r.Outcome, Reason: r.Reason,
		SendingIP: r.SendingIP, Status: r.Status, Salt: r.Salt,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the evidence of event %v: %w", r.Event, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// ParseHead reads the beginning of a record, which is the same in all versions: its
// version, its index and its event. It looks at nothing behind them, and costs next to nothing.
func ParseHead(line []byte) (index int64, event mail.ID, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"v":`))
	version, rest, ok1 := bytes.Cut(rest[:min(len(rest), 100)], []byte(`,"index":`))
	number, rest, ok2 := bytes.Cut(rest, []byte(`,"event":"`))
	if !ok || !ok1 || !ok2 || len(rest) < 17 || rest[16] != '"' {
		return 0, 0, false
	}
	v, err1 := strconv.ParseUint(string(version), 10, 16)
	n, err2 := strconv.ParseUint(string(number), 10, 62)
	event, err3 := mail.ParseID(string(rest[:16]))
	return int64(n), event, err1 == nil && err2 == nil && err3 == nil && v > 0
}

// ParseRecord reads what [Record.Encode] wrote, also with fields of later versions.
func ParseRecord(line []byte) (Record, error) {
	var w wireRecord
	if err := json.Unmarshal(line, &w); err != nil {
		return Record{}, fmt.Errorf("read a record: %w", err)
	}
	r := Record{
		Version: w.Version, Index: w.Index, Time: w.Time, DomainID: w.DomainID, Domain: w.Domain, MessageID: w.MessageID,
		Recipient: w.Recipient, Outcome: w.Outcome, Reason: w.Reason, SendingIP: w.SendingIP, Status: w.Status, Salt: w.Salt,
	}
	var err error
	if r.Event, err = mail.ParseID(w.Event); err != nil {
		return r, fmt.Errorf("read a record: its event: %w", err)
	}
	if r.Message, err = mail.ParseID(w.Message); err != nil {
		return r, fmt.Errorf("read a record: its message: %w", err)
	}
	if r.Version < 1 || r.Index < 0 {
		return r, errors.New("read a record: it has no version or no index")
	}
	return r, nil
}
