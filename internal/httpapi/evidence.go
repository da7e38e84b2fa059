package httpapi

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	// maxExports is how many exports of evidence are written at a time.
	maxExports = 4
	// exportPause is how long a client may keep 64 KiB of an export from flowing.
	exportPause = time.Minute
)

var errNoEvidence = &door.Problem{Status: http.StatusServiceUnavailable, Message: "this server keeps no evidence"}

// exportEvidence streams the evidence of deliveries, one JSON object a line. A key that is bound to
// a domain is shown that domain's records only, by its number: a name may have had other owners
// before.
func (a *API) exportEvidence(w http.ResponseWriter, r *door.Request) error {
	if a.deps.Evidence == nil {
		return errNoEvidence
	}
	p, err := r.Params()
	if err != nil {
		return err
	}
	f, err := evidenceFilter(p)
	if err != nil {
		return err
	}
	f.DomainID = r.Who.DomainID
	select {
	case a.exports <- struct{}{}:
		defer func() { <-a.exports }()
	default:
		return &door.Problem{Status: http.StatusServiceUnavailable, Message: "The server is writing other exports. Please try again.", RetryAfter: 10 * time.Second}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(&patientWriter{w: w, control: http.NewResponseController(w)}, 64<<10)
	if err := a.deps.Evidence.Export(r.Context(), out, f); err != nil {
		return err
	}
	return out.Flush()
}

// evidenceFilter reads which records are wanted.
func evidenceFilter(p door.Params) (f proof.Filter, err error) {
	day := strings.TrimSpace(p.Get("day"))
	f.From, f.To = strings.TrimSpace(p.Get("from")), strings.TrimSpace(p.Get("to"))
	if day != "" && (f.From != "" || f.To != "") {
		return f, door.BadRequest("'day' parameter: give it, or 'from' and 'to', not both")
	}
	for _, d := range []struct{ name, value string }{{"day", day}, {"from", f.From}, {"to", f.To}} {
		if d.value != "" && !proof.IsDay(d.value) {
			return f, door.BadRequest("'%s' parameter must be a day, such as 2026-11-25", d.name)
		}
	}
	if day != "" {
		f.From, f.To = day, day
	}
	for _, id := range []struct {
		name string
		to   *mail.ID
	}{{"message", &f.Message}, {"event", &f.Event}} {
		s := p.Get(id.name)
		if s == "" {
			continue
		}
		if *id.to, err = mail.ParseID(s); err != nil {
			return f, door.BadRequest("'%s' parameter: %s", id.name, err)
		}
	}
	if s := p.Get("domain"); s != "" {
		if f.Domain, err = mail.ParseDomain(s); err != nil {
			return f, door.BadRequest("'domain' parameter: %s", err)
		}
	}
	if s := p.Get("recipient"); s != "" {
		address, err := mail.ParseAddress(s)
		if err != nil {
			return f, door.BadRequest("'recipient' parameter: %s", err)
		}
		f.Recipient = address.String()
	}
	f.MessageID = strings.Trim(strings.TrimSpace(p.Get("message-id")), "<>")
	return f, nil
}

// A patientWriter lets an answer take as long as it needs to be found, which may be
// minutes between two records, and still ends it when the client does not read.
type patientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// Write writes and flushes, under a deadline of its own.
func (p *patientWriter) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(exportPause)) // a connection without deadlines needs none
	n, err := p.w.Write(b)
	if err == nil {
		err = p.control.Flush()
	}
	_ = p.control.SetWriteDeadline(time.Time{})
	return n, err
}

type evidenceKeys struct {
	Key  string   `json:"key"`  // the current verifier key
	Keys []string `json:"keys"` // all, newest first
}

// showEvidenceKeys lists the keys that evidence was ever signed with, the current one first.
func (a *API) showEvidenceKeys(w http.ResponseWriter, _ *door.Request) error {
	if a.deps.Evidence == nil {
		return errNoEvidence
	}
	keys := a.deps.Evidence.Keys()
	return door.Reply(w, evidenceKeys{keys[0], keys})
}

// rotateEvidenceKey makes a new key sign evidence. Its predecessor signs beside it. The audit log
// has the verifier keys, so that an auditor can tell a change that was meant.
func (a *API) rotateEvidenceKey(w http.ResponseWriter, r *door.Request) error {
	if a.deps.Evidence == nil {
		return errNoEvidence
	}
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	before := currentKey(a.deps.Evidence)
	if err := a.deps.Evidence.Rotate(); err != nil {
		return err
	}
	after := currentKey(a.deps.Evidence)
	err := a.deps.Audit.NoteChange(r.Context(), store.AuditEntry{
		Action: store.AuditReplace, Kind: store.AuditEvidence, Object: "signing key",
		Before: store.Facts{"verifier": before}, After: store.Facts{"verifier": after},
	})
	if err != nil {
		return fmt.Errorf("the evidence's key was changed to %s, and the audit log was not told: %w", after, err)
	}
	return a.showEvidenceKeys(w, r)
}

// currentKey is the verifier key of what signs now; empty before the first key.
func currentKey(e Evidence) string {
	if keys := e.Keys(); len(keys) > 0 {
		return keys[0]
	}
	return ""
}
