package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A reportJSON is the report of one day to one policy domain.
type reportJSON struct {
	Day          string                 `json:"day"`
	Domain       string                 `json:"domain"`
	ID           string                 `json:"report-id"`
	State        string                 `json:"state"`
	Due          time.Time              `json:"due,omitzero"` // while waiting
	GiveUp       time.Time              `json:"give-up"`
	Attempts     int                    `json:"attempts"`
	Note         string                 `json:"note,omitempty"`
	Destinations []store.TLSDestination `json:"destinations"`
}

func reportView(r store.TLSReport) reportJSON {
	v := reportJSON{
		Day: r.Day, Domain: r.Domain, ID: r.ID, State: string(r.State), GiveUp: r.GiveUp.UTC(),
		Attempts: r.Attempts, Note: r.Note, Destinations: r.Destinations,
	}
	if r.State == store.TLSReportWaiting {
		v.Due = r.Due.UTC()
	}
	if v.Destinations == nil {
		v.Destinations = []store.TLSDestination{}
	}
	return v
}

// listTLSReports lists the TLS reports that were sent and that are due (RFC 8460).
func (a *API) listTLSReports(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	var q store.TLSReportQuery
	if q.Day, err = dayParam(p, "day"); err != nil {
		return err
	}
	if s := p.Get("domain"); s != "" {
		if q.Domain, err = mail.ParseDomain(s); err != nil {
			return door.BadRequest("'domain' parameter: %s", err)
		}
	}
	if q.Limit, err = p.Number("limit", 1, 100); err != nil {
		return err
	}
	reports, err := a.deps.Reports.Reports(r.Context(), q)
	if err != nil {
		return err
	}
	items := []reportJSON{}
	for _, report := range reports {
		items = append(items, reportView(report))
	}
	return door.Reply(w, struct {
		Enabled bool         `json:"enabled"`
		Items   []reportJSON `json:"items"`
	}{a.deps.Reports.Enabled(), items})
}

// previewTLSReport shows the TLS report of a day to a policy domain as it would go out.
func (a *API) previewTLSReport(w http.ResponseWriter, r *door.Request) error {
	name, err := mail.ParseDomain(r.PathValue("name"))
	if err != nil {
		return door.BadRequest("not a policy domain: %s", err)
	}
	p, err := r.Params()
	if err != nil {
		return err
	}
	day, err := dayParam(p, "day")
	if err != nil {
		return err
	}
	if day == "" {
		day = time.Now().UTC().Format(time.DateOnly)
	}
	data, err := a.deps.Reports.Preview(r.Context(), name, day)
	if errors.Is(err, store.ErrNotFound) {
		return door.NotFound("no TLS sessions are known for this domain and day, or the domain does not ask for reports")
	}
	if err != nil {
		return err
	}
	return door.Reply(w, json.RawMessage(data))
}

// dayParam reads a UTC day; absent is the empty string.
func dayParam(p door.Params, name string) (string, error) {
	s := p.Get(name)
	if s == "" {
		return "", nil
	}
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return "", door.BadRequest("'%s' parameter must be a day like 2026-11-23", name)
	}
	return s, nil
}
