package httpapi

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/store"
)

// Ghost polls the events of its newsletters: fractional seconds, several tags, and the whole
// query again beside each page's token, until a page is empty.
func TestGhostPolls(t *testing.T) {
	rg := newRig(t)
	var want []string
	begin := time.Now().Add(-time.Minute)
	for i := range 700 {
		tags := []string{"bulk-email", "ghost-email"}
		if i%3 == 0 {
			tags = tags[:1]
		}
		id := rg.store.NewID()
		m := &store.NewMessage{ID: id, DomainID: rg.store.domains["example.com"].ID, Meta: event.Meta{Domain: "example.com", Tags: tags}}
		for _, typ := range []event.Type{event.Accepted, []event.Type{event.Delivered, event.FailedPermanent, event.Complained}[i%7%3]} {
			m.Events = append(m.Events, event.Record{Type: typ, DomainID: m.DomainID, Message: id, Recipient: fmt.Sprintf("r%d@example.net", i)})
		}
		if err := rg.store.Accept(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if len(tags) == 2 {
			want = append(want, m.Events[1].ID.String())
		}
	}
	query := "?" + url.Values{
		"limit": {"300"}, "event": {"delivered OR opened OR failed OR unsubscribed OR complained"}, "tags": {"bulk-email AND ghost-email"},
		"begin": {fmt.Sprintf("%.3f", float64(begin.UnixMilli())/1000)}, "end": {fmt.Sprintf("%.3f", float64(time.Now().Add(time.Second).UnixMilli())/1000)}, "ascending": {"yes"},
	}.Encode()
	var got []string
	for p := rg.page(t, "/v3/example.com/events"+query); len(p.Items) > 0; {
		got = append(got, p.ids()...)
		token := p.Paging.Next[strings.LastIndexByte(p.Paging.Next, '/')+1:]
		p = rg.page(t, "/v3/example.com/events/"+token+query)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d events, want %d in their order", len(got), len(want))
	}
}
