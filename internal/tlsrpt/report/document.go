package report

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/tlsresult"
)

// Media types of a report (RFC 8460 section 6).
const (
	MediaTypeGzip = "application/tlsrpt+gzip"
	MediaTypeJSON = "application/tlsrpt+json"
)

// A Document is one report (RFC 8460 section 4.4). Its order of fields is that of the RFC.
type Document struct {
	Organization string    `json:"organization-name"`
	Dates        DateRange `json:"date-range"`
	Contact      string    `json:"contact-info"` // an address
	ID           string    `json:"report-id"`    // the same each time the report is sent
	Policies     []Policy  `json:"policies"`
}

// A DateRange is what a report covers, both ends included.
type DateRange struct {
	Start Time `json:"start-datetime"`
	End   Time `json:"end-datetime"`
}

// Day is the range of a whole UTC day.
func Day(midnight time.Time) DateRange {
	return DateRange{Start: Time{midnight.UTC()}, End: Time{midnight.UTC().Add(24*time.Hour - time.Second)}}
}

// A Policy is what came of the sessions under one policy.
type Policy struct {
	Policy   PolicyText `json:"policy"`
	Summary  Summary    `json:"summary"`
	Failures []Failure  `json:"failure-details,omitempty"`
}

// A PolicyText is the policy as its domain published it.
type PolicyText struct {
	Type    tlsresult.PolicyType `json:"policy-type"`
	Strings Strings              `json:"policy-string,omitempty"`
	Domain  string               `json:"policy-domain"`
	MXHosts Strings              `json:"mx-host,omitempty"`
}

// A Summary counts sessions. Failures may be more than the details add up to.
type Summary struct {
	Successes Count `json:"total-successful-session-count"`
	Failures  Count `json:"total-failure-session-count"`
}

// A Failure is sessions that failed alike. Empty fields are not known.
type Failure struct {
	Type        tlsresult.Type `json:"result-type"`
	SendingIP   string         `json:"sending-mta-ip,omitempty"`
	MXHost      string         `json:"receiving-mx-hostname,omitempty"`
	MXHelo      string         `json:"receiving-mx-helo,omitempty"`
	ReceivingIP string         `json:"receiving-ip,omitempty"`
	Sessions    Count          `json:"failed-session-count"`
	Information string         `json:"additional-information,omitempty"` // a URI
	Reason      string         `json:"failure-reason-code,omitempty"`
}

// A Time is a moment as RFC 3339 writes it. It is read more generously: a missing zone is UTC.
type Time struct{ time.Time }

// MarshalJSON writes UTC, whole seconds.
func (t Time) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.UTC().Format(time.RFC3339))
}

// UnmarshalJSON reads what is sent in practice.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			t.Time = at.UTC()
			return nil
		}
	}
	return errors.New("a time is not as RFC 3339 writes it")
}

// A Count is a number of sessions. It is read from a string of digits as well, which some
// senders write; a negative number is refused.
type Count int64

// maxCount keeps sums of counts from overflowing.
const maxCount = 1 << 48

// UnmarshalJSON reads a number or a string of digits.
func (c *Count) UnmarshalJSON(b []byte) error {
	var n int64
	if err := json.Unmarshal(bytes.Trim(b, `"`), &n); err != nil || n < 0 || n > maxCount {
		return errors.New("a session count is not a whole number of zero or more")
	}
	*c = Count(n)
	return nil
}

// Strings is a list of strings. One string instead of a list is read as well: drafts of
// the RFC had it so, and some senders still do.
type Strings []string

// UnmarshalJSON reads a list or one string.
func (l *Strings) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var one string
		if err := json.Unmarshal(b, &one); err != nil {
			return err
		}
		*l = Strings{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// Encode returns the document as JSON, indented for the people who open it.
func (d Document) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return b.Bytes(), nil
}

// Compress returns the octets as gzip writes them; the same octets give the same result.
func Compress(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Filename is the name of a compressed report's file (RFC 8460 section 5.1). Unique is
// letters and digits.
func Filename(submitter, domain string, dates DateRange, unique string) string {
	return fmt.Sprintf("%s!%s!%d!%d!%s.json.gz", submitter, domain, dates.Start.Unix(), dates.End.Unix(), unique)
}

// Domains lists the policy domains a report speaks of, each once.
func (d Document) Domains() []string {
	var list []string
	seen := map[string]bool{}
	for _, p := range d.Policies {
		if name := strings.ToLower(p.Policy.Domain); !seen[name] {
			seen[name] = true
			list = append(list, p.Policy.Domain)
		}
	}
	return list
}
