package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/lab"
	"github.com/sealpost/sealpost/internal/mail"
)

type labCmds struct {
	Dir string `default:"lab-data" placeholder:"DIR" help:"Data folder of the lab: lab-data if not given."`

	Table  labTableCmd  `cmd:"" default:"1" help:"Send all four pairs of flags to every receiver, and compare the log with what the receivers saw. The default."`
	Up     labUpCmd     `cmd:"" help:"Serve with the lab beside the server until interrupted."`
	Events labEventsCmd `cmd:"" help:"Show events of the lab's server, as sealpost events does."`
}

type labUpCmd struct {
	Listen string `default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Address of the API, on loopback: 127.0.0.1:8080 if not given."`
}

// Run serves with the lab until the context ends.
func (c labUpCmd) Run(ctx context.Context, s *session, l *labCmds) error {
	if s.env.RunLab == nil {
		return errors.New("this program was built without its server")
	}
	return s.env.RunLab(ctx, LabOptions{Dir: l.Dir, Listen: c.Listen})
}

// connectLab reaches the lab's server. Its socket is the only way to all that it knows.
func (s *session) connectLab(ctx context.Context, dir string) (*apiclient.Client, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	client, err := apiclient.Socket(ctx, filepath.Join(dir, apiclient.SocketName))
	if err != nil {
		return nil, &ExitError{ExitUnreachable, fmt.Errorf("no lab runs in %s (%w); start it with: sealpost lab up", dir, err)}
	}
	s.use(client)
	return client, nil
}

type labEventsCmd struct{ eventsCmd }

// Run lists or follows the lab's events.
func (c labEventsCmd) Run(ctx context.Context, s *session, l *labCmds) error {
	if _, err := s.connectLab(ctx, l.Dir); err != nil {
		return err
	}
	return c.eventsCmd.Run(ctx, s)
}

type labTableCmd struct{}

// Run prints the truth table; it fails where the log did not tell the truth.
func (labTableCmd) Run(ctx context.Context, s *session, l *labCmds) error {
	client, err := s.connectLab(ctx, l.Dir)
	if err != nil {
		return err
	}
	lines, err := lab.Table(ctx, labClient{client})
	if err != nil {
		return err
	}
	if s.json() {
		err = s.writeValue(lines)
	} else {
		err = lab.WriteTable(s.env.Stdout, lines)
	}
	if err != nil {
		return err
	}
	for _, line := range lines {
		if !line.True {
			return errors.New("the log and the receivers do not agree; see the lines marked above")
		}
	}
	return nil
}

// labClient does what the lab's table asks for, through the API.
type labClient struct{ *apiclient.Client }

var _ lab.Client = labClient{}

// Send sends a short message and returns its Message-ID.
func (c labClient) Send(ctx context.Context, to string, flags mail.TLSFlags) (string, error) {
	a, err := c.Client.Send(ctx, lab.SendingDomain, apiclient.Message{
		From: "lab@" + lab.SendingDomain, To: []string{to}, Subject: "Lab", Text: "A message of the lab.",
		TLS: apiclient.TLSFlags{RequireTLS: boolOf(flags.RequireTLS), SkipVerification: boolOf(flags.SkipVerification)},
	})
	return bareID(a.Value.ID), err
}

func boolOf(t mail.Tri) *bool {
	if t == mail.Unset {
		return nil
	}
	b := t.Bool()
	return &b
}

// Outcome waits for the first end or failure of a message, and cancels what is left of it.
func (c labClient) Outcome(ctx context.Context, messageID string) (event.Type, event.Status, error) {
	var found apiclient.Event
	f := &follower{client: c.Client, domain: lab.SendingDomain,
		query:  url.Values{"message-id": messageQuery(messageID, 1)["message-id"], "begin": {"0"}},
		notice: func(string, ...any) {},
		emit: func(events []apiclient.Event) error {
			for _, e := range events {
				if e.Event == "delivered" || e.Event == "failed" || e.Event == "rejected" {
					found = e
					return errDone
				}
			}
			return nil
		}}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("nothing happened to the message for a minute"))
	defer cancel()
	if err := f.run(ctx); err != nil {
		return 0, event.Status{}, fmt.Errorf("wait for message %s: %w", messageID, errors.Join(err, context.Cause(ctx)))
	}
	if found.Storage.Key != "" && !found.Final() {
		if _, err := c.ChangeQueue(ctx, "cancel", apiclient.Selector{Message: found.Storage.Key}, false); err != nil {
			return 0, event.Status{}, fmt.Errorf("cancel message %s: %w", messageID, err)
		}
	}
	var full struct {
		Status event.Status `json:"delivery-status"`
	}
	if err := json.Unmarshal(found.JSON, &full); err != nil {
		return 0, event.Status{}, fmt.Errorf("read the event of message %s: %w", messageID, err)
	}
	return typeOf(found), full.Status, nil
}

// typeOf returns the type of one of the events that Outcome waits for.
func typeOf(e apiclient.Event) event.Type {
	switch {
	case e.Event == "delivered":
		return event.Delivered
	case e.Event == "rejected":
		return event.Rejected
	case e.Severity == "permanent":
		return event.FailedPermanent
	}
	return event.FailedTemporary
}

// Observe asks what the receivers saw.
func (c labClient) Observe(ctx context.Context, messageID string) ([]lab.Observation, error) {
	a, err := c.LabObservations(ctx, messageID)
	if err != nil {
		return nil, err
	}
	var seen []lab.Observation
	if err := json.Unmarshal(a.Value, &seen); err != nil {
		return nil, fmt.Errorf("read what the receivers saw: %w", err)
	}
	return seen, nil
}
