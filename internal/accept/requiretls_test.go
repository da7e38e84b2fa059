package accept

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// asked marks a submission as MAIL with REQUIRETLS does.
func asked(s Submission) Submission {
	s.RequireTLS = true
	return s
}

// RFC 8689 section 4.1: a message that came with the option must be tagged; one that
// came without it and has the field must be tagged with that; with both, the field must
// be ignored, and may travel.
func TestTheMarkingFollowsRFC8689(t *testing.T) {
	const no = "TLS-Required: No\r\n"
	for name, c := range map[string]struct {
		s                   Submission
		required, tlsOption bool
		travels             int // fields TLS-Required in what travels
	}{
		"nothing asked":                        {smtp(""), false, false, 0},
		"the option":                           {asked(smtp("")), true, false, 0},
		"the field":                            {smtp(no), false, true, 1},
		"the field, any letter case":           {smtp("tls-required:nO \r\n"), false, true, 1},
		"the field, folded":                    {smtp("TLS-Required:\r\n\tNo\r\n"), false, true, 1},
		"both: the option wins":                {asked(smtp(no)), true, false, 1},
		"a value that nobody defined":          {smtp("TLS-Required: Maybe\r\n"), false, false, 1},
		"yes is no value":                      {smtp("TLS-Required: Yes\r\n"), false, false, 1},
		"no with a parameter is no value":      {smtp("TLS-Required: No; x=y\r\n"), false, false, 1},
		"twice counts for nothing":             {smtp(no + no), false, false, 2},
		"our control field":                    {smtp("X-Sealpost-REQUIRETLS: yes\r\n"), true, false, 0},
		"our control field, no":                {smtp("X-Sealpost-REQUIRETLS: no\r\n"), false, false, 0},
		"no takes nothing back":                {asked(smtp("X-Sealpost-REQUIRETLS: no\r\n")), true, false, 0},
		"our control field beats TLS-Required": {smtp("X-Sealpost-REQUIRETLS: true\r\n" + no), true, false, 1},
		"form":                                 {form("o:requiretls", "yes"), true, false, 0},
		"form, capitals":                       {form("O:RequireTLS", "TRUE"), true, false, 0},
		"form, no":                             {form("o:requiretls", "false"), false, false, 0},
		"form, empty":                          {form("o:requiretls", ""), false, false, 0},
		"form, as a header":                    {form("h:X-Sealpost-REQUIRETLS", "yes"), true, false, 0},
		"form, tls-required":                   {form("o:tls-required", "no"), false, true, 1},
		"form, tls-required, capitals":         {form("o:tls-required", " NO "), false, true, 1},
		"form, tls-required beside the field":  {form("o:tls-required", "no", "h:TLS-Required", "No"), false, true, 1},
		"form, the field alone":                {form("h:tls-required", "no"), false, true, 1},
		"form, both":                           {form("o:requiretls", "yes", "o:tls-required", "no"), true, false, 1},
		"mime":                                 {mime("", "o:requiretls", "yes"), true, false, 0},
		"mime, control field":                  {mime("X-Sealpost-RequireTLS: yes\r\n"), true, false, 0},
		"mime, parameter beats control field":  {mime("X-Sealpost-RequireTLS: yes\r\n", "o:requiretls", "no"), false, false, 0},
		"mime, tls-required":                   {mime("", "o:tls-required", "no"), false, true, 1},
		"mime, tls-required beside the field":  {mime(no, "o:tls-required", "no"), false, true, 1},
		"mime, tls-required mends two fields":  {mime(no+no, "o:tls-required", "no"), false, true, 1},
		"batch": {func() Submission {
			s := form("o:requiretls", "yes", "o:tls-required", "no", "recipient-variables", `{"ann@one.test":{}}`)
			s.To = []string{"ann@one.test"}
			return s
		}(), true, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeStore(t, domain("mg.example.com"))
			if _, err := testRoom(t, f, nil).Accept(t.Context(), c.s); err != nil {
				t.Fatal(err)
			}
			m, content := f.one(t)
			if m.Envelope.RequireTLS != c.required || m.Envelope.TLSOptional != c.tlsOption {
				t.Errorf("REQUIRETLS %v, TLS-Required: No %v; want %v and %v", m.Envelope.RequireTLS, m.Envelope.TLSOptional, c.required, c.tlsOption)
			}
			if m.Envelope.TLS != (mail.TLSFlags{}) {
				t.Errorf("the flags about our hop became %+v", m.Envelope.TLS)
			}
			header, _, _ := strings.Cut(strings.ToLower(content), "\r\n\r\n")
			if n := strings.Count("\r\n"+header, "\r\ntls-required:"); n != c.travels {
				t.Errorf("%d fields TLS-Required travel, want %d:\n%s", n, c.travels, header)
			}
			if strings.Contains(header, "x-sealpost-") {
				t.Errorf("a control field travels:\n%s", header)
			}
		})
	}
}

// What cannot be read is refused: it must not weaken anything.
func TestUnreadableMarkingsAreRefused(t *testing.T) {
	for _, s := range []Submission{
		form("o:requiretls", "1"), form("o:requiretls", "strict"), form("o:requiretls", "yes", "o:requiretls", "no"),
		form("o:tls-required", "yes"), form("o:tls-required", "false"), form("o:tls-required", "no!"),
		mime("", "o:requiretls", "on"), mime("X-Sealpost-REQUIRETLS: on\r\n"), mime("X-Sealpost-REQUIRETLS: on\r\n", "o:requiretls", "yes"),
		smtp("X-Sealpost-REQUIRETLS: maybe\r\n"), smtp("X-Sealpost-REQUIRETLS: yes\r\nX-Sealpost-REQUIRETLS: no\r\n"),
	} {
		f := newFakeStore(t, domain("mg.example.com"))
		_, err := testRoom(t, f, nil).Accept(t.Context(), s)
		wantError(t, err, 400, 554, "")
		if lower := strings.ToLower(fmt.Sprint(err)); !strings.Contains(lower, "requiretls") && !strings.Contains(lower, "tls-required") {
			t.Errorf("%v does not name the option", err)
		}
		if with, _ := f.messages(); len(with) != 0 {
			t.Error("accepted all the same")
		}
	}
}

// tls-policy.md section 15, item 21: dropped on the way into the queue. The marking is on
// disk before the sender hears yes, and what a new process leases has it.
func TestTheMarkingSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	open := func() *sqlite.Store {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, MinFree: -1})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	d := domain("mg.example.com")
	if err := s.CreateDomain(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	room := New(Config{Hostname: "mx.sealpost.test", SpoolDir: t.TempDir()}, s, s, nil, slog.New(slog.NewTextHandler(t.Output(), nil)))
	want := map[mail.ID]mail.Envelope{}
	for _, c := range []struct {
		s                  Submission
		required, optional bool
	}{
		{asked(smtp("")), true, false}, {smtp("TLS-Required: No\r\n"), false, true}, {form("o:requiretls", "yes"), true, false},
		{form("o:tls-required", "no"), false, true}, {mime("", "o:requiretls", "yes"), true, false}, {smtp(""), false, false},
	} {
		r, err := room.Accept(t.Context(), c.s)
		if err != nil {
			t.Fatal(err)
		}
		want[r.ID] = mail.Envelope{RequireTLS: c.required, TLSOptional: c.optional}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	leased, err := s.Lease(t.Context(), store.LeaseRequest{NextHop: "one.test", Now: time.Now().AddDate(1, 0, 0), Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(leased.Messages) != len(want) {
		t.Fatalf("%d messages are queued, want %d", len(leased.Messages), len(want))
	}
	for id, w := range want {
		got := leased.Messages[id].Envelope
		if got.RequireTLS != w.RequireTLS || got.TLSOptional != w.TLSOptional {
			t.Errorf("message %v: REQUIRETLS %v, TLS-Required: No %v; want %v and %v", id, got.RequireTLS, got.TLSOptional, w.RequireTLS, w.TLSOptional)
		}
	}
}

// Whoever removes the field breaks the signature.
func TestTheSignatureCoversTLSRequired(t *testing.T) {
	d := domain("mg.example.com")
	d.DKIM = []store.DKIMKey{{Selector: "s1", PrivatePEM: testKey(), Active: true}}
	txt := keyRecord(t, d.DKIM[0].PrivatePEM)
	f := newFakeStore(t, d)
	if _, err := testRoom(t, f, nil).Accept(t.Context(), form("o:tls-required", "no")); err != nil {
		t.Fatal(err)
	}
	_, content := f.one(t)
	verify := func(content string) error {
		results, err := dkim.VerifyWithOptions(strings.NewReader(content), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) { return []string{txt}, nil }})
		if err != nil || len(results) != 1 {
			t.Fatalf("verification: %v, %+v", err, results)
		}
		return results[0].Err
	}
	if err := verify(content); err != nil {
		t.Fatal(err)
	}
	if err := verify(strings.Replace(content, "TLS-Required: No\r\n", "", 1)); err == nil {
		t.Error("the signature still verifies without the field")
	}
}
