package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type messageCmds struct {
	Show messageShowCmd `cmd:"" help:"Show an accepted message and what became of it."`
}

type messageShowCmd struct {
	ID     string `arg:"" help:"Message-ID, or the storage key that events and the queue show."`
	Domain string `placeholder:"DOMAIN" help:"Sending domain; all of them are searched if not given."`
	Raw    bool   `help:"Print the message as it travels."`
}

// Run shows a message.
func (c messageShowCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	domain, key, err := findMessage(ctx, client, c.Domain, c.ID)
	if err != nil {
		return err
	}
	if c.Raw {
		return s.showRaw(ctx, client, domain, key)
	}
	a, err := client.Message(ctx, domain, key)
	if err != nil {
		return err
	}
	if s.json() {
		return s.writeJSON(a.JSON)
	}
	return s.showMessage(ctx, client, domain, a.Value)
}

// errNoMessage is what a search for a message ends with.
func errNoMessage(id string) error {
	return fmt.Errorf("no message %q; its content may have been dropped after its time, and its events are at: sealpost events --message-id", id)
}

// findMessage returns the sending domain and the storage key of a message.
func findMessage(ctx context.Context, client *apiclient.Client, domain, id string) (string, string, error) {
	domains, err := domainNames(ctx, client, domain)
	if err != nil {
		return "", "", err
	}
	id = bareID(id)
	at := strings.LastIndexByte(id, '@')
	// Most Message-IDs end with the sending domain, so it is asked first.
	slices.SortStableFunc(domains, func(a, b string) int {
		switch home := id[at+1:]; {
		case a == home && b != home:
			return -1
		case b == home && a != home:
			return 1
		}
		return 0
	})
	for _, d := range domains {
		key := id
		if at >= 0 {
			if key, err = keyOf(ctx, client, d, id); err != nil {
				return "", "", err
			}
			if key != "" {
				return d, key, nil
			}
			continue
		}
		_, err := client.Message(ctx, d, key)
		if no, ok := errors.AsType[*apiclient.Error](err); ok && no.Status == http.StatusNotFound {
			continue
		}
		return d, key, err
	}
	return "", "", errNoMessage(id)
}

// keyOf looks a Message-ID up in a domain's events; empty if it is not there.
func keyOf(ctx context.Context, client *apiclient.Client, domain, id string) (string, error) {
	a, err := client.Events(ctx, domain, messageQuery(id, 10))
	if err != nil {
		return "", err
	}
	for _, e := range a.Value.Items {
		if e.Storage.Key != "" {
			return e.Storage.Key, nil
		}
	}
	return "", nil
}

// messageQuery asks for the events of exactly one Message-ID.
func messageQuery(id string, limit int) url.Values {
	return url.Values{"message-id": {`"` + strings.ReplaceAll(id, `"`, "") + `"`}, "limit": {fmt.Sprint(limit)}}
}

// showMessage prints a message with its history for people.
func (s *session) showMessage(ctx context.Context, client *apiclient.Client, domain string, m apiclient.StoredMessage) error {
	var b strings.Builder
	id := ""
	for _, h := range m.Headers {
		fmt.Fprintf(&b, "%s: %s\n", clean(h[0]), clean(h[1]))
		if strings.EqualFold(h[0], "Message-Id") {
			id = bareID(h[1])
		}
	}
	fmt.Fprintf(&b, "\nenvelope: from %s to %s\n", shown(m.Sender), shown(m.Recipients))
	for _, a := range m.Attachments {
		fmt.Fprintf(&b, "attachment: %s, %s, %d octets\n", shown(a.Name), shown(a.ContentType), a.Size)
	}
	if m.BodyPlain != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(cleanLines(m.BodyPlain), "\n"))
	}
	b.WriteString("\n")
	if _, err := io.WriteString(s.env.Stdout, b.String()); err != nil || id == "" {
		return err
	}
	q := messageQuery(id, maxPage)
	q.Set("ascending", "yes")
	a, err := client.Events(ctx, domain, q)
	if err != nil {
		return err
	}
	return eventTable(a.Value.Items).write(s.env.Stdout)
}

// showRaw prints a message as it travels: escaped on a terminal, octet by octet
// elsewhere.
func (s *session) showRaw(ctx context.Context, client *apiclient.Client, domain, key string) error {
	a, err := client.RawMessage(ctx, domain, key)
	if err != nil {
		return err
	}
	if s.json() {
		return s.writeJSON(a.JSON)
	}
	text := a.Value.BodyMIME
	if s.env.Terminal {
		text = cleanLines(text)
	}
	_, err = io.WriteString(s.env.Stdout, text)
	return err
}
