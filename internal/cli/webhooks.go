package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type webhookCmds struct {
	List   webhookListCmd   `cmd:"" help:"List the URLs that are told of events, and how they are doing."`
	Log    webhookLogCmd    `cmd:"" help:"Show calls: failures that are kept, and the last successes since the start."`
	Replay webhookReplayCmd `cmd:"" help:"Tell of events again: of one, of all that were given up, or of a time range."`
	Test   webhookTestCmd   `cmd:"" help:"Tell a URL of an event that never happened, and show what it answers."`
	Enable webhookEnableCmd `cmd:"" help:"Tell a URL again that was disabled because it took nothing for a week."`
}

type webhookListCmd struct {
	Domain string `placeholder:"DOMAIN" help:"Of one sending domain."`
}

// Run lists targets.
func (c webhookListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.Webhooks(ctx, c.Domain)
	if err != nil {
		return err
	}
	t := &table{head: []string{"DOMAIN", "URL", "EVENTS", "STATE", "WAITING", "FAILED", "LAST ERROR"}, none: "no webhooks"}
	for _, w := range a.Value.Items {
		state := w.State
		switch {
		case !w.DisabledAt.IsZero():
			state += " since " + instant(w.DisabledAt)
		case !w.FailingSince.IsZero():
			state += " since " + instant(w.FailingSince)
		}
		t.add(cmp.Or(w.Domain, "(account)"), w.URL, strings.Join(w.Kinds, " "), state, fmt.Sprint(w.Waiting), fmt.Sprint(w.Failed), w.LastError)
	}
	return s.show(a.JSON, t)
}

type webhookLogCmd struct {
	Domain string `placeholder:"DOMAIN" help:"Of one sending domain's webhooks."`
	Target string `name:"target" placeholder:"URL" help:"Of one URL."`
	Event  string `placeholder:"ID" help:"About one event."`
	Limit  int    `default:"100" placeholder:"N" help:"At most so many: 100 unless given, up to 1000."`
}

// Run shows the log.
func (c webhookLogCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.WebhookLog(ctx, apiclient.WebhookQuery{Domain: c.Domain, URL: c.Target, Event: c.Event, Limit: c.Limit})
	if err != nil {
		return err
	}
	t := &table{head: []string{"TIME", "EVENT", "ID", "URL", "ATTEMPT", "OUTCOME", "CODE", "TOOK", "ANSWER"}, none: "no calls"}
	for _, d := range a.Value.Items {
		code := "-"
		if d.Code != 0 {
			code = fmt.Sprint(d.Code)
		}
		took := time.Duration(d.Seconds * float64(time.Second)).Round(time.Millisecond)
		t.add(instant(d.Time), d.Kind, d.Event, d.URL, fmt.Sprint(d.Attempt), d.Outcome, code, took.String(), cmp.Or(d.Error, d.Answer))
	}
	return s.show(a.JSON, t)
}

type webhookReplayCmd struct {
	Event  string `placeholder:"ID" xor:"what" help:"One event."`
	Failed bool   `xor:"what" help:"All events that were given up."`
	Begin  string `placeholder:"DATE" xor:"what" help:"Events since then: seconds since 1970 or a date of RFC 2822."`
	End    string `placeholder:"DATE" help:"Events before then. Without it: until now."`
	Domain string `placeholder:"DOMAIN" help:"Events of one sending domain."`
	Target string `name:"target" placeholder:"URL" help:"Tell one URL only."`
}

// Run replays.
func (c webhookReplayCmd) Run(ctx context.Context, s *session) error {
	if c.Event == "" && !c.Failed && c.Begin == "" {
		return usagef("say what to tell again: --event, --failed or --begin")
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if err := s.needServer("webhook replay"); err != nil {
		return err
	}
	a, err := client.ReplayWebhooks(ctx, apiclient.WebhookQuery{Domain: c.Domain, URL: c.Target, Event: c.Event, Failed: c.Failed, Begin: c.Begin, End: c.End})
	if err != nil {
		return err
	}
	return s.show(a.JSON, countTable("calls will be made again", a.Value))
}

func countTable(what string, c apiclient.Count) *table {
	t := &table{}
	t.add(fmt.Sprintf("%d %s", c.Count, what))
	return t
}

type webhookTestCmd struct {
	Domain string `arg:"" help:"Sending domain."`
	Event  string `arg:"" help:"Kind of event: accepted, delivered, temporary_fail, permanent_fail, opened, clicked, unsubscribed or complained."`
	Target string `arg:"" name:"target" placeholder:"URL" help:"URL to call; it need not be a webhook yet."`
}

// Run makes a test call. It fails when the URL would not take the event.
func (c webhookTestCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.TestWebhook(ctx, c.Domain, c.Event, c.Target)
	if err != nil {
		return err
	}
	t := &table{}
	code := "no answer"
	if a.Value.Code != 0 {
		code = fmt.Sprintf("status %d", a.Value.Code)
	}
	t.add(code, a.Value.Message)
	if err := s.show(a.JSON, t); err != nil {
		return err
	}
	if a.Value.Code != http.StatusOK {
		return errQuiet
	}
	return nil
}

type webhookEnableCmd struct {
	Target string `arg:"" name:"target" placeholder:"URL" help:"URL, as webhook list shows it."`
	Domain string `placeholder:"DOMAIN" help:"Of one sending domain's webhooks."`
}

// Run enables a target.
func (c webhookEnableCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.EnableWebhook(ctx, apiclient.WebhookQuery{Domain: c.Domain, URL: c.Target})
	if err != nil {
		return err
	}
	return s.show(a.JSON, countTable("webhooks were disabled and are told again", a.Value))
}
