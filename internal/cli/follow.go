package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

// Times of following.
const (
	pollEvery  = time.Second
	pollAtMost = 15 * time.Second // between tries while the server does not answer
	// drainPages bounds how many pages of one domain are read before the others get their turn.
	drainPages = 20
)

// errDone ends a follower from within emit.
var errDone = errors.New("done")

// A follower prints events as they happen. For every domain it keeps the token of the
// page where reading goes on: the server promises that a search oldest first
// without an end never finishes, and that an event once passed over never appears later.
// So nothing is missed and nothing is shown twice, however slow either side is.
type follower struct {
	client *apiclient.Client
	domain string     // empty: all, also those registered later
	query  url.Values // filters; a begin says where to start
	past   int        // how many earlier events to show first, if there is no begin; at most maxPage
	emit   func([]apiclient.Event) error
	notice func(format string, args ...any)

	tokens map[string]string // by domain
}

// run follows until ctx ends or emit fails. It survives a server that is away for a while.
func (f *follower) run(ctx context.Context) error {
	f.tokens = map[string]string{}
	wait := pollEvery
	for first := true; ; first = false {
		events, err := f.round(ctx, first)
		if err == nil && (len(events) > 0 || first) {
			sortEvents(events)
			if err = f.emit(events); errors.Is(err, errDone) {
				return nil
			}
		}
		switch {
		case err == nil:
			wait = pollEvery
		case first || !passing(err):
			return err
		default:
			if wait == pollEvery {
				f.notice("%v; trying again until it answers", err)
			}
			wait = min(2*wait, pollAtMost)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// passing reports whether an error may be gone the next time.
func passing(err error) bool {
	if no, ok := errors.AsType[*apiclient.Error](err); ok {
		return no.Status >= 500 || no.Status == http.StatusTooManyRequests
	}
	_, ok := errors.AsType[*apiclient.Unreachable](err)
	return ok
}

// round reads what is new in every domain. On error nothing is lost: what was not
// returned is read again.
func (f *follower) round(ctx context.Context, first bool) ([]apiclient.Event, error) {
	domains, err := domainNames(ctx, f.client, f.domain)
	if err != nil {
		return nil, err
	}
	var all []apiclient.Event
	tokens := maps.Clone(f.tokens)
	for _, d := range domains {
		token, known := tokens[d]
		var events []apiclient.Event
		if known {
			events, token, err = f.drain(ctx, d, token)
		} else {
			events, token, err = f.start(ctx, d, first)
		}
		if no, ok := errors.AsType[*apiclient.Error](err); ok && no.Status == http.StatusNotFound && f.domain == "" {
			delete(tokens, d) // deleted since it was listed
			continue
		}
		if err != nil {
			return nil, err
		}
		tokens[d] = token
		all = append(all, events...)
	}
	f.tokens = tokens
	return all, nil
}

// start reads a domain for the first time: the last few events, or everything since the
// begin. A domain that appears while others are followed is read from its beginning.
func (f *follower) start(ctx context.Context, domain string, first bool) ([]apiclient.Event, string, error) {
	forward := maps.Clone(f.query)
	forward.Set("ascending", "yes")
	forward.Set("limit", strconv.Itoa(maxPage))
	var past []apiclient.Event
	if forward.Get("begin") == "" {
		begin := "0"
		if first {
			var err error
			if past, begin, err = f.newest(ctx, domain); err != nil {
				return nil, "", err
			}
		}
		forward.Set("begin", begin)
	}
	after := ""
	if len(past) > 0 {
		after = past[len(past)-1].ID
	}
	a, err := f.client.Events(ctx, domain, forward)
	if err != nil {
		return nil, "", err
	}
	events, token, err := f.drainFrom(ctx, domain, a.Value, after)
	return append(past, events...), token, err
}

// newest returns the last matching events, oldest first, and the time from which to go
// on. Where nothing matches it is the time of the last event of any kind, asked for
// before the matching ones so that none can fall between. Times are the server's own.
func (f *follower) newest(ctx context.Context, domain string) ([]apiclient.Event, string, error) {
	begin := "0"
	last, err := f.client.Events(ctx, domain, url.Values{"limit": {"1"}})
	if err != nil {
		return nil, "", err
	}
	if len(last.Value.Items) > 0 {
		begin = last.Value.Items[0].Timestamp.String()
	}
	backward := maps.Clone(f.query)
	backward.Set("limit", strconv.Itoa(max(f.past, 1)))
	a, err := f.client.Events(ctx, domain, backward)
	if err != nil {
		return nil, "", err
	}
	past := a.Value.Items
	if len(past) > 0 {
		begin = past[0].Timestamp.String()
	}
	slices.Reverse(past)
	return past, begin, nil
}

// drain reads from a token on until nothing is left.
func (f *follower) drain(ctx context.Context, domain, token string) ([]apiclient.Event, string, error) {
	a, err := f.client.EventsAt(ctx, domain, token)
	if err != nil {
		return nil, "", err
	}
	return f.drainFrom(ctx, domain, a.Value, "")
}

// drainFrom is drain with the first page at hand. Events up to the id after, which
// share the moment of the last one shown, are left out: ids grow like times, and
// finer.
func (f *follower) drainFrom(ctx context.Context, domain string, page apiclient.EventPage, after string) ([]apiclient.Event, string, error) {
	var events []apiclient.Event
	for n := 1; ; n++ {
		for _, e := range page.Items {
			if len(e.ID) != len(after) || e.ID > after {
				events = append(events, e)
			}
		}
		token := page.Next()
		if token == "" {
			return nil, "", fmt.Errorf("the server gave no link to the next page of %s's events; is it a Sealpost server?", domain)
		}
		if len(page.Items) == 0 || n == drainPages {
			return events, token, nil
		}
		a, err := f.client.EventsAt(ctx, domain, token)
		if err != nil {
			return nil, "", err
		}
		page = a.Value
	}
}

// compact returns JSON on one line.
func compact(raw json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return raw // it was read as JSON before, so this does not happen
	}
	return b.Bytes()
}
