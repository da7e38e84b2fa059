package store

import (
	"context"
	"time"

	"github.com/sealpost/sealpost/internal/tlsresult"
)

// TLSReports keeps what TLS sessions came to, by day and policy domain, and how far
// the reports about it have got (RFC 8460). Days are UTC, written 2006-01-02.
type TLSReports interface {
	// AddTLSCounts adds to what is stored, all in one transaction.
	AddTLSCounts(ctx context.Context, counts []TLSCount) error
	// TLSCounts returns what was counted on a day, of one domain or, if it is empty, of
	// all. Order is by domain, then policy, and details by number of sessions, most first.
	TLSCounts(ctx context.Context, day, domain string) ([]TLSCount, error)
	// UnplannedTLSReports returns up to limit domains that have counts on days before
	// the given one and no report yet; only Day and Domain are set. Older days come first.
	UnplannedTLSReports(ctx context.Context, before string, limit int) ([]TLSReport, error)
	// PutTLSReports creates or replaces reports, by day and domain, in one transaction.
	PutTLSReports(ctx context.Context, reports []TLSReport) error
	// DueTLSReports returns up to limit waiting reports that are due at now, oldest due first.
	DueTLSReports(ctx context.Context, now time.Time, limit int) ([]TLSReport, error)
	// TLSReports returns matching reports, latest day first, then by domain.
	TLSReports(ctx context.Context, q TLSReportQuery) ([]TLSReport, error)
	// ForgetTLSReport drops counts and report of a day and domain.
	ForgetTLSReport(ctx context.Context, day, domain string) error
	// PruneTLSReports drops counts and reports of all days before the given one.
	PruneTLSReports(ctx context.Context, before string) error
}

// A TLSCount is numbers of sessions of one day under one policy. Policies are the
// same when all their fields are.
type TLSCount struct {
	Day       string
	Policy    tlsresult.Policy // Domain is the policy domain
	Successes int64
	Failures  int64 // all of them; Details may hold fewer
	Details   []TLSFailure
}

// A TLSFailure is a number of sessions that failed alike.
type TLSFailure struct {
	TLSFailureKey
	Sessions int64
}

// A TLSFailureKey is what failures must have in common to be counted together.
type TLSFailureKey struct {
	Type        tlsresult.Type
	Reason      string
	MXHost      string
	ReceivingIP string
	SendingIP   string
}

// A TLSReportState says how far a report is.
type TLSReportState string

const (
	TLSReportWaiting TLSReportState = "waiting"  // for its first or next attempt
	TLSReportSent    TLSReportState = "sent"     // at least one destination took it, and nothing is left to try
	TLSReportRefused TLSReportState = "refused"  // the domain's record cannot be used
	TLSReportGivenUp TLSReportState = "given-up" // nobody took it in time
)

// A TLSReport is the report of one day to one policy domain.
type TLSReport struct {
	Day          string
	Domain       string
	ID           string // report-id, the same in every attempt
	State        TLSReportState
	Due          time.Time // next attempt, while waiting
	GiveUp       time.Time // no attempt is made after
	Attempts     int       // made so far
	Note         string    // why it waits again or ended; may hold foreign text
	Destinations []TLSDestination
}

// A TLSDestination is one place that a report goes to. Its JSON is what is stored and shown.
type TLSDestination struct {
	URI        string    `json:"uri"`                  // as published; foreign text
	Done       bool      `json:"done"`                 // taken
	Final      bool      `json:"final"`                // not to be tried again; true when Done
	At         time.Time `json:"at,omitzero"`          // of the last attempt
	Note       string    `json:"note,omitempty"`       // what came of it; may hold foreign text
	MessageID  string    `json:"message-id,omitempty"` // under which a mail went into our queue
	Unverified bool      `json:"unverified,omitempty"` // https: the certificate did not verify
}

// A TLSReportQuery picks reports. Zero fields match everything.
type TLSReportQuery struct {
	Day    string
	Domain string
	Limit  int // 0: 100; at most 1,000
}
