package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

// maxPage is the largest page of events that the API gives.
const maxPage = 300

type eventsCmd struct {
	Follow bool   `short:"f" help:"Keep printing events as they happen, until interrupted. With -o json one object per line."`
	Domain string `placeholder:"DOMAIN" help:"Sending domain; all of them if not given."`
	eventFilters
}

// Run lists or follows events.
func (c eventsCmd) Run(ctx context.Context, s *session) error {
	query, err := c.query(time.Now())
	if err != nil {
		return err
	}
	if c.Follow && (c.End != "" || c.Ascending != nil) {
		return usagef("--follow goes on without an end, oldest first; leave out --end and --ascending")
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	return c.list(ctx, s, client, query)
}

// list prints events that happened, or follows.
func (c eventsCmd) list(ctx context.Context, s *session, client *apiclient.Client, query url.Values) error {
	if c.Follow {
		if err := s.needServer("events --follow"); err != nil {
			return err
		}
		limit := c.Limit
		if limit == 0 {
			limit = 10
		}
		f := &follower{client: client, domain: c.Domain, query: query, past: min(limit, maxPage), emit: s.printEvents(), notice: s.note}
		err := f.run(ctx)
		if ctx.Err() != nil {
			return nil // interrupting is how people end it
		}
		return err
	}
	limit := c.Limit
	if limit == 0 {
		limit = 100
	}
	domains, err := domainNames(ctx, client, c.Domain)
	if err != nil {
		return err
	}
	if len(domains) == 1 && limit <= maxPage {
		query.Set("limit", strconv.Itoa(limit))
		a, err := client.Events(ctx, domains[0], query)
		if err != nil {
			return err
		}
		return s.show(a.JSON, eventTable(a.Value.Items))
	}
	items, err := gather(ctx, client, domains, query, limit)
	if err != nil {
		return err
	}
	if !s.json() {
		return eventTable(items).write(s.env.Stdout)
	}
	raw := make([]json.RawMessage, len(items))
	for i, e := range items {
		raw[i] = e.JSON
	}
	return s.writeValue(struct {
		Items []json.RawMessage `json:"items"`
	}{raw})
}

// domainNames returns the one domain, or all.
func domainNames(ctx context.Context, client *apiclient.Client, one string) ([]string, error) {
	if one != "" {
		return []string{one}, nil
	}
	a, err := client.Domains(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(a.Value.Items))
	for i, d := range a.Value.Items {
		names[i] = d.Name
	}
	return names, nil
}

// gather reads the first events of several domains as one list.
func gather(ctx context.Context, client *apiclient.Client, domains []string, query url.Values, limit int) ([]apiclient.Event, error) {
	query.Set("limit", strconv.Itoa(min(limit, maxPage)))
	var all []apiclient.Event
	for _, d := range domains {
		items, err := pages(ctx, client, d, query, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
	}
	sortEvents(all)
	if !ascending(query) {
		slices.Reverse(all)
	}
	return all[:min(limit, len(all))], nil
}

// pages reads up to limit events of a domain.
func pages(ctx context.Context, client *apiclient.Client, domain string, query url.Values, limit int) ([]apiclient.Event, error) {
	a, err := client.Events(ctx, domain, query)
	if err != nil {
		return nil, err
	}
	items := a.Value.Items
	for n := len(items); n > 0 && len(items) < limit; {
		token := a.Value.Next()
		if token == "" {
			break
		}
		if a, err = client.EventsAt(ctx, domain, token); err != nil {
			return nil, err
		}
		n = len(a.Value.Items)
		items = append(items, a.Value.Items...)
	}
	return items[:min(limit, len(items))], nil
}

// sortEvents sorts by time, and keeps the server's order among equals.
func sortEvents(events []apiclient.Event) {
	slices.SortStableFunc(events, func(a, b apiclient.Event) int {
		return eventTime(a).Compare(eventTime(b))
	})
}

// eventTime is the time of an event; zero if it has none that can be read.
func eventTime(e apiclient.Event) time.Time {
	s, err := e.Timestamp.Float64()
	if err != nil || s < 0 || s > 1e11 {
		return time.Time{}
	}
	return time.UnixMicro(int64(s*1e6 + 0.5)).UTC()
}

// eventHead returns the columns of events.
func eventHead() []string {
	return []string{"TIME", "EVENT", "RECIPIENT", "TLS", "MX HOST", "MESSAGE", "REPLY"}
}

func eventTable(events []apiclient.Event) *table {
	t := &table{head: eventHead(), none: "no events match"}
	for _, e := range events {
		t.rows = append(t.rows, eventRow(e))
	}
	return t
}

// eventRow is an event for people.
func eventRow(e apiclient.Event) []string {
	when := ""
	if t := eventTime(e); !t.IsZero() {
		when = t.Format("2006-01-02 15:04:05Z")
	}
	name := e.Event
	if e.Severity != "" {
		name += " (" + e.Severity + ")"
	}
	secured, host, said := "", "", ""
	if st := e.Status; st != nil {
		secured = tlsWord(e.Event, st)
		if st.MXHost != nil {
			host = *st.MXHost
		}
		said = replyText(st)
	} else if e.Reject != nil {
		said = strings.TrimSpace(e.Reject.Reason + " " + e.Reject.Description)
	} else {
		said = e.Message.Headers.Subject
	}
	return []string{when, name, e.Recipient, secured, host, e.Message.Headers.MessageID, said}
}

// tlsWord says how the connection was secured, in one word. Only a message that went
// out went out in plaintext.
func tlsWord(event string, st *apiclient.DeliveryStatus) string {
	switch {
	case st.TLS == nil:
		return ""
	case *st.TLS && st.CertificateVerified != nil && *st.CertificateVerified:
		return "verified"
	case *st.TLS:
		return "unverified"
	case event == "delivered":
		return "plaintext"
	}
	return "none"
}

// replyText is what was said about an attempt.
func replyText(st *apiclient.DeliveryStatus) string {
	var parts []string
	if st.Code != 0 {
		parts = append(parts, strconv.Itoa(st.Code))
	}
	if st.Message != "" {
		parts = append(parts, st.Message)
	}
	if st.Description != "" && st.Description != st.Message {
		parts = append(parts, st.Description)
	}
	if st.RetrySeconds != nil {
		parts = append(parts, fmt.Sprintf("(next attempt in %s)", time.Duration(*st.RetrySeconds)*time.Second))
	}
	return strings.Join(parts, " ")
}

// printEvents returns a function that prints events as they come: a line each, with
// columns that only grow, or one JSON object per line.
func (s *session) printEvents() func([]apiclient.Event) error {
	var c columns
	begun := false
	return func(events []apiclient.Event) error {
		var b strings.Builder
		if !begun && !s.json() {
			c.widen([]string{"2006-01-02 15:04:05Z", "failed (permanent)", "someone@recipient.example", "unverified", "mx1.recipient.example", "20261123211013.0551fb31d2800000@example.com", ""})
			c.widen(eventHead())
			b.WriteString(c.line(eventHead()))
		}
		begun = true
		for _, e := range events {
			if s.json() {
				b.Write(cleanJSON(compact(e.JSON)))
				b.WriteByte('\n')
				continue
			}
			row := eventRow(e)
			c.widen(row)
			b.WriteString(c.line(row))
		}
		_, err := s.env.Stdout.Write([]byte(b.String()))
		return err
	}
}
