package accept

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// suppressor answers from a map by address.
type suppressor struct {
	lists map[string]store.SuppressionList
	err   error
	calls int
	tags  []string
}

func (s *suppressor) Suppressed(_ context.Context, _ int64, to []mail.Address, tags []string) ([]store.SuppressionList, error) {
	s.calls++
	s.tags = tags
	var lists []store.SuppressionList
	for i, a := range to {
		if l := s.lists[a.Key()]; l != store.NoList {
			if lists == nil {
				lists = make([]store.SuppressionList, len(to))
			}
			lists[i] = l
		}
	}
	return lists, s.err
}

// story lists the events and rows of the accepted messages.
func story(f *fakeStore) string {
	var b strings.Builder
	with, _ := f.messages()
	for _, m := range with {
		for _, e := range m.Events {
			fmt.Fprintf(&b, "%s %s", e.Type, e.Recipient)
			if st := e.Data.Status; st != nil {
				fmt.Fprintf(&b, " %d %s", st.Code, e.Data.Reason)
			}
			b.WriteString("\n")
		}
		for _, r := range m.Rows {
			fmt.Fprintf(&b, "queued %s\n", r.Recipient)
		}
	}
	return b.String()
}

func TestSuppressedRecipientsAreAcceptedAndFailAtOnce(t *testing.T) {
	both := map[string]store.SuppressionList{"ann@one.test": store.Bounces, "bob@two.test": store.Complaints}
	batch := form("recipient-variables", `{"ann@one.test":{"n":"1"},"bob@two.test":{"n":"2"}}`)
	report, notice := smtp(""), smtp("")
	report.Report, notice.Notice = true, true
	for _, c := range []struct {
		name  string
		s     Submission
		lists map[string]store.SuppressionList
		want  string
	}{
		{"nobody", form(), nil, "accepted ann@one.test\naccepted bob@two.test\nqueued ann@one.test\nqueued bob@two.test\n"},
		{"one of two", form(), map[string]store.SuppressionList{"bob@two.test": store.Unsubscribes},
			"accepted ann@one.test\naccepted bob@two.test\nfailed bob@two.test 606 suppress-unsubscribe\nqueued ann@one.test\n"},
		{"everybody", form(), both,
			"accepted ann@one.test\naccepted bob@two.test\nfailed ann@one.test 605 suppress-bounce\nfailed bob@two.test 607 suppress-complaint\n"},
		{"copies of a batch", batch, both,
			"accepted ann@one.test\nfailed ann@one.test 605 suppress-bounce\naccepted bob@two.test\nfailed bob@two.test 607 suppress-complaint\n"},
		{"by SMTP", smtp(""), both, "accepted ann@one.test\nfailed ann@one.test 605 suppress-bounce\n"},
		{"in test mode", form("o:testmode", "yes"), both,
			"accepted ann@one.test\ndelivered ann@one.test 650 \naccepted bob@two.test\ndelivered bob@two.test 650 \n"},
		{"a report to who has unsubscribed", report, map[string]store.SuppressionList{"ann@one.test": store.Unsubscribes}, "accepted ann@one.test\nqueued ann@one.test\n"},
		{"a notice to who has complained", notice, map[string]store.SuppressionList{"ann@one.test": store.Complaints}, "accepted ann@one.test\nqueued ann@one.test\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeStore(t, domain("mg.example.com"))
			room := testRoom(t, f, nil)
			room.cfg.Suppressions = &suppressor{lists: c.lists}
			if _, err := room.Accept(t.Context(), c.s); err != nil {
				t.Fatal(err)
			}
			if got := story(f); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestNoticesDoNotGoToAddressesThatBounced(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	room := testRoom(t, f, nil)
	room.cfg.Suppressions = &suppressor{lists: map[string]store.SuppressionList{"ann@one.test": store.Bounces}}
	s := smtp("")
	s.Notice = true
	if _, err := room.Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got := story(f); got != "accepted ann@one.test\nfailed ann@one.test 605 suppress-bounce\n" {
		t.Error(got)
	}
}

func TestSuppressedFailureSaysWhatClientsKnow(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	room := testRoom(t, f, nil)
	s := &suppressor{lists: map[string]store.SuppressionList{"ann@one.test": store.Bounces}}
	room.cfg.Suppressions = s
	if _, err := room.Accept(t.Context(), form("o:tag", "news", "o:tag", "Offers")); err != nil {
		t.Fatal(err)
	}
	if s.calls != 1 || !slices.Equal(s.tags, []string{"news", "Offers"}) {
		t.Errorf("asked %d times, with tags %q", s.calls, s.tags)
	}
	m, _ := f.one(t)
	st := m.Events[2].Data.Status
	if st.AttemptNo != 1 || st.Message != "" || st.Description != "Not delivering to previously bounced address" || st.TLS != nil || st.CertificateVerified != nil || st.MXHost != nil || st.SessionSeconds != 0 {
		t.Errorf("status %+v", st)
	}
}

// Who cannot be looked up gets no mail by accident: the sender is told to come again.
func TestTroubleWithSuppressionsRefusesMail(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	room := testRoom(t, f, nil)
	room.cfg.Suppressions = &suppressor{err: errors.New("disk on fire")}
	_, err := room.Accept(t.Context(), form())
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Status != http.StatusInternalServerError || refusal.Code != 451 || strings.Contains(refusal.Message, "fire") {
		t.Errorf("got %v", err)
	}
	if got := story(f); got != "" {
		t.Errorf("stored %s", got)
	}
}

// What a look-up costs a call of 1,000 recipients, none of whom is suppressed.
func BenchmarkSuppressed(b *testing.B) {
	var to []mail.Address
	for i := range 1000 {
		to = append(to, mail.Address{Local: fmt.Sprintf("reader%d", i*7919), Domain: "example.net"})
	}
	for _, entries := range []int{0, 1, 50_000} {
		s, err := sqlite.Open(b.Context(), sqlite.Options{Dir: filepath.Join(b.TempDir(), "data"), MinFree: -1})
		if err != nil {
			b.Fatal(err)
		}
		d := domain("mg.example.com")
		if err := s.CreateDomain(b.Context(), &d); err != nil {
			b.Fatal(err)
		}
		var list []store.Suppression
		began := time.Now()
		var longest time.Duration
		put := func() {
			one := time.Now()
			if err := s.PutSuppressions(b.Context(), d.ID, store.Bounces, list); err != nil {
				b.Fatal(err)
			}
			longest = max(longest, time.Since(one))
			list = list[:0]
		}
		for i := range entries {
			if list = append(list, store.Suppression{Value: fmt.Sprintf("u%d@bounced.test", i*7919%1_000_003), Code: "550", Text: "5.1.1 no such user here, sorry", Created: time.Now()}); len(list) == 500 {
				put()
			}
		}
		put()
		b.Logf("%d entries written in %v, 500 at a time, the longest in %v", entries, time.Since(began), longest)
		for _, n := range []int{1, 1000} {
			b.Run(fmt.Sprintf("entries=%d/recipients=%d", entries, n), func(b *testing.B) {
				for b.Loop() {
					if lists, err := s.Suppressed(b.Context(), d.ID, to[:n], nil); err != nil || lists != nil {
						b.Fatal(lists, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/recipient")
			})
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
