package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type queueCmds struct {
	List     queueListCmd     `cmd:"" help:"List copies that wait."`
	NextHops queueNextHopsCmd `cmd:"" help:"List recipient domains with mail waiting."`
	Explain  queueExplainCmd  `cmd:"" help:"Say of copies that wait why they do, and until when."`
	Retry    queueRetryCmd    `cmd:"" help:"Attempt copies now."`
	Hold     queueHoldCmd     `cmd:"" help:"Keep copies from being attempted until they are released."`
	Release  queueReleaseCmd  `cmd:"" help:"Undo hold."`
	Cancel   queueCancelCmd   `cmd:"" help:"Give copies up; the log gets a permanent failure."`

	Reschedule queueRescheduleCmd `cmd:"" help:"Attempt copies at another time."`
}

// selectors say which copies a command is about.
type selectors struct {
	Domain    string `placeholder:"DOMAIN" help:"Of this sending domain."`
	Message   string `placeholder:"ID" help:"Of this message: its Message-ID or storage key."`
	Tag       string `placeholder:"TAG" help:"Of messages with this tag."`
	Recipient string `placeholder:"ADDRESS" help:"To this address."`
	NextHop   string `placeholder:"DOMAIN" help:"To this recipient domain."`
	Row       string `placeholder:"ID" help:"This copy, by its row in queue list."`
}

// resolve returns the API's selector. A Message-ID is looked up.
func (c selectors) resolve(ctx context.Context, client *apiclient.Client) (apiclient.Selector, error) {
	sel := apiclient.Selector{Domain: c.Domain, Message: c.Message, Tag: c.Tag, Recipient: c.Recipient, NextHop: c.NextHop, Row: c.Row}
	if strings.Contains(c.Message, "@") {
		// The copies of a batch have one Message-ID.
		sel.Message, sel.MessageID = "", strings.Trim(c.Message, "<> ")
	}
	return sel, nil
}

// paging are the arguments of lists.
type paging struct {
	Limit int    `default:"100" placeholder:"100" help:"At most so many, up to 1000."`
	After string `placeholder:"ROW" help:"Only rows after this one, to go on with a long list."`
}

type queueListCmd struct {
	selectors
	paging
}

// Run lists rows.
func (c queueListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	sel, err := c.resolve(ctx, client)
	if err != nil {
		return err
	}
	a, err := client.Rows(ctx, sel, c.Limit, c.After)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ROW", "NEXT HOP", "RECIPIENT", "STATE", "DUE", "ATTEMPTS", "LAST REPLY"}, none: "nothing waits"}
	for _, r := range a.Value.Items {
		t.add(r.ID, r.NextHop, r.Recipient, rowState(r), instant(r.Due), strconv.Itoa(r.Attempt), r.LastReply)
	}
	if err := s.show(a.JSON, t); err != nil {
		return err
	}
	if n := len(a.Value.Items); n > 0 && n == c.Limit && !s.json() {
		s.note("there may be more; go on with: --after %s", a.Value.Items[n-1].ID)
	}
	return nil
}

func rowState(r apiclient.Row) string {
	switch {
	case r.Leased:
		return "in progress"
	case r.Held:
		return "held"
	}
	return "waiting"
}

// instant is a time for people; empty if it is none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

type queueNextHopsCmd struct{}

// Run lists next hops.
func (queueNextHopsCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.NextHops(ctx)
	if err != nil {
		return err
	}
	t := &table{head: []string{"NEXT HOP", "WAITING", "NEXT DUE"}, none: "nothing waits"}
	for _, h := range a.Value.Items {
		t.add(h.Name, strconv.Itoa(h.Rows), instant(h.Due))
	}
	return s.show(a.JSON, t)
}

type queueExplainCmd struct {
	selectors
	paging
}

// Run explains rows.
func (c queueExplainCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	sel, err := c.resolve(ctx, client)
	if err != nil {
		return err
	}
	a, err := client.Explain(ctx, sel, c.Limit, c.After)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ROW", "RECIPIENT", "STATE", "NEXT", "WHY"}, none: "nothing waits"}
	for _, e := range a.Value.Items {
		t.add(e.ID, e.Recipient, e.State, instant(e.Next), e.Sentence)
	}
	return s.show(a.JSON, t)
}

// change are the arguments of commands that change rows.
type change struct {
	selectors
	All bool `help:"All copies that wait. Without it say which."`
}

// run changes rows. What is being attempted at the moment is left alone.
func (c change) run(ctx context.Context, s *session, action string) error {
	return c.do(ctx, s, func(client *apiclient.Client, sel apiclient.Selector) (apiclient.Answer[apiclient.Changed], error) {
		return client.ChangeQueue(ctx, action, sel, c.All)
	})
}

func (c change) do(ctx context.Context, s *session, call func(*apiclient.Client, apiclient.Selector) (apiclient.Answer[apiclient.Changed], error)) error {
	if c.All == (c.selectors != selectors{}) {
		return usagef("say which copies: --domain, --message, --tag, --recipient, --next-hop or --row; or --all, without any of them")
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	sel, err := c.resolve(ctx, client)
	if err != nil {
		return err
	}
	a, err := call(client, sel)
	if err != nil {
		return err
	}
	return s.show(a.JSON, &table{rows: [][]string{{"changed", strconv.Itoa(a.Value.Count)}}})
}

type queueRetryCmd struct{ change }

// Run makes rows due now.
func (c queueRetryCmd) Run(ctx context.Context, s *session) error { return c.run(ctx, s, "retry") }

type queueHoldCmd struct{ change }

// Run holds rows.
func (c queueHoldCmd) Run(ctx context.Context, s *session) error { return c.run(ctx, s, "hold") }

type queueReleaseCmd struct{ change }

// Run releases rows.
func (c queueReleaseCmd) Run(ctx context.Context, s *session) error { return c.run(ctx, s, "release") }

type queueRescheduleCmd struct {
	change
	Time moment `arg:"" help:"When: an RFC 3339 time, or how long from now, such as 90m or 36h."`
}

// Run makes rows due at another time.
func (c queueRescheduleCmd) Run(ctx context.Context, s *session) error {
	return c.do(ctx, s, func(client *apiclient.Client, sel apiclient.Selector) (apiclient.Answer[apiclient.Changed], error) {
		return client.RescheduleQueue(ctx, time.Time(c.Time), sel, c.All)
	})
}

// A moment is a time of an argument.
type moment time.Time

// UnmarshalText reads an RFC 3339 time, or a time from now.
func (m *moment) UnmarshalText(text []byte) error {
	if d, err := time.ParseDuration(string(text)); err == nil && d >= 0 {
		*m = moment(time.Now().Add(d))
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return usagef("%q is neither a time like 2026-12-01T09:00:00Z nor a duration like 90m", text)
	}
	*m = moment(t)
	return nil
}

type queueCancelCmd struct{ change }

// Run gives rows up.
func (c queueCancelCmd) Run(ctx context.Context, s *session) error { return c.run(ctx, s, "cancel") }
