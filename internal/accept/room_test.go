package accept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/store"
)

func TestAcceptStoresWhatTravels(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	got, err := testRoom(t, f, nil).Accept(t.Context(), form("o:tag", "welcome", "v:order", "17", "o:require-tls", "yes"))
	if err != nil {
		t.Fatal(err)
	}
	m, content := f.one(t)
	if got.ID != m.ID || got.MessageID != m.Meta.MessageID || !strings.Contains(got.MessageID, m.ID.String()+"@mg.example.com") {
		t.Errorf("receipt %+v for message %v, %q", got, m.ID, m.Meta.MessageID)
	}
	if want := []string{"ann@one.test", "bob@two.test"}; !slices.Equal(m.Meta.Recipients, want) {
		t.Errorf("recipients %v, want %v", m.Meta.Recipients, want)
	}
	if m.Envelope.ReversePath.String() != "news@mg.example.com" || m.Envelope.TLS.RequireTLS != mail.True || m.Envelope.TLS.SkipVerification != mail.Unset {
		t.Errorf("envelope %+v", m.Envelope)
	}
	for i, row := range m.Rows {
		if row.NextHop != row.Recipient.Domain || row.Expires.Sub(row.Due) != 8*time.Hour || row.Message != m.ID || row.DomainID != 1 {
			t.Errorf("row %d: %+v", i, row)
		}
		if e := m.Events[i]; e.Type != event.Accepted || e.Recipient != row.Recipient.String() || e.Message != m.ID || e.DomainID != 1 {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if len(m.Rows) != 2 || len(m.Events) != 2 {
		t.Errorf("%d rows, %d events, want 2 and 2", len(m.Rows), len(m.Events))
	}
	for _, want := range []string{"Message-Id: <" + got.MessageID + ">", "X-Mailgun-Sid: " + m.ID.String(), "X-Mailgun-Tag: welcome", `X-Mailgun-Variables: {"order": "17"}`} {
		if !strings.Contains(strings.ToLower(content), strings.ToLower(want)) {
			t.Errorf("no %q in\n%s", want, content)
		}
	}
	if m.Meta.Method != "http" || !m.Meta.Authenticated || m.Meta.KeyID != "k1" || m.Meta.OriginIP != "192.0.2.7" || m.Meta.Variables["order"] != "17" || m.Meta.Subject != "Hello" {
		t.Errorf("meta %+v", m.Meta)
	}
	if strings.Contains(content, "192.0.2.7") {
		t.Error("the client's address travels")
	}
}

func TestMessagesAreSigned(t *testing.T) {
	d := domain("mg.example.com")
	d.DKIM = []store.DKIMKey{{Selector: "s1", PrivatePEM: testKey(), Active: true}}
	txt := keyRecord(t, d.DKIM[0].PrivatePEM)
	for name, s := range map[string]func(...string) Submission{
		"form": form,
		"mime": func(o ...string) Submission { return mime("", o...) },
		"smtp": func(o ...string) Submission {
			h := ""
			if len(o) == 2 {
				h = "X-Mailgun-Dkim: " + o[1] + "\r\n"
			}
			return smtp(h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeStore(t, d)
			if _, err := testRoom(t, f, nil).Accept(t.Context(), s()); err != nil {
				t.Fatal(err)
			}
			_, content := f.one(t)
			results, err := dkim.VerifyWithOptions(strings.NewReader(content), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
				if name != "s1._domainkey.mg.example.com" {
					return nil, fmt.Errorf("asked for %s", name)
				}
				return []string{txt}, nil
			}})
			if err != nil || len(results) != 1 || results[0].Err != nil || results[0].Domain != "mg.example.com" {
				t.Fatalf("verification: %v, %+v\n%s", err, results, content)
			}
			f = newFakeStore(t, d)
			if _, err := testRoom(t, f, nil).Accept(t.Context(), s("o:dkim", "no")); err != nil {
				t.Fatal(err)
			}
			if _, content := f.one(t); strings.Contains(content, "DKIM-Signature") {
				t.Error("signed although the message said no")
			}
		})
	}
}

// Mailgun-reference 3.5, T1 to T5 as far as acceptance decides them: what is stored
// as the message level, for every door.
func TestFlagsAreThreeValued(t *testing.T) {
	values := []struct {
		text string
		want mail.Tri
		bad  bool
	}{
		{"", mail.Unset, false}, {"yes", mail.True, false}, {"true", mail.True, false}, {"True", mail.True, false}, {"no", mail.False, false},
		{"false", mail.False, false}, {"False", mail.False, false}, {"1", 0, true}, {"yess", 0, true}, {"0", 0, true}, {"off", 0, true},
	}
	doors := map[string]func(param, header, value string) Submission{
		"form":           func(p, _, v string) Submission { return form(p, v) },
		"mime parameter": func(p, _, v string) Submission { return mime("", p, v) },
		"mime field":     func(_, h, v string) Submission { return mime(h + ": " + v + "\r\n") },
		"h: parameter":   func(_, h, v string) Submission { return form("h:"+h, v) },
		"smtp":           func(_, h, v string) Submission { return smtp(h + ": " + v + "\r\n") },
		"smtp, odd case": func(_, h, v string) Submission { return smtp(strings.ToUpper(h) + ":" + v + " \r\n") },
	}
	flags := []struct {
		param, header string
		get           func(mail.TLSFlags) (mail.Tri, mail.Tri)
	}{
		{"o:require-tls", "X-Mailgun-Require-TLS", func(f mail.TLSFlags) (mail.Tri, mail.Tri) { return f.RequireTLS, f.SkipVerification }},
		{"o:skip-verification", "X-Mailgun-Skip-Verification", func(f mail.TLSFlags) (mail.Tri, mail.Tri) { return f.SkipVerification, f.RequireTLS }},
	}
	for door, submit := range doors {
		for _, flag := range flags {
			for _, v := range values {
				t.Run(fmt.Sprintf("%s %s %q", door, flag.param, v.text), func(t *testing.T) {
					f := newFakeStore(t, domain("mg.example.com"))
					_, err := testRoom(t, f, nil).Accept(t.Context(), submit(flag.param, flag.header, v.text))
					if v.bad {
						wantError(t, err, 400, 554, "")
						if lower := strings.ToLower(err.Error()); !strings.Contains(lower, flag.param) && !strings.Contains(lower, strings.ToLower(flag.header)) {
							t.Errorf("%v does not name the flag", err)
						}
						if with, _ := f.messages(); len(with) != 0 {
							t.Error("accepted all the same")
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					m, content := f.one(t)
					if got, other := flag.get(m.Envelope.TLS); got != v.want || other != mail.Unset {
						t.Errorf("stored %v and %v, want %v and unset", got, other, v.want)
					}
					if strings.Contains(strings.ToLower(content), strings.ToLower(flag.header)) { // T9
						t.Errorf("the flag travels:\n%s", content)
					}
				})
			}
		}
	}
}

func TestAParameterBeatsAField(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	if _, err := testRoom(t, f, nil).Accept(t.Context(), mime("X-Mailgun-Require-TLS: no\r\n", "o:require-tls", "yes")); err != nil {
		t.Fatal(err)
	}
	if m, _ := f.one(t); m.Envelope.TLS.RequireTLS != mail.True {
		t.Errorf("require-tls is %v", m.Envelope.TLS.RequireTLS)
	}
	for _, s := range []Submission{
		smtp("X-Mailgun-Require-TLS: yes\r\nX-Mailgun-Require-TLS: no\r\n"),
		form("o:require-tls", "yes", "o:require-tls", "no"),
		mime("X-Mailgun-Require-TLS: perhaps\r\n", "o:require-tls", "yes"),
	} {
		_, err := testRoom(t, f, nil).Accept(t.Context(), s)
		wantError(t, err, 400, 554, "")
	}
}

func TestTestModeStoresEventsAndNoRows(t *testing.T) {
	for name, s := range map[string]Submission{"form": form("o:testmode", "yes"), "smtp": smtp("X-Mailgun-Drop-Message: TRUE\r\n")} {
		f, sched := newFakeStore(t, domain("mg.example.com")), &fakeScheduler{room: 1 << 20}
		if _, err := testRoom(t, f, sched).Accept(t.Context(), s); err != nil {
			t.Fatal(name, err)
		}
		m, _ := f.one(t)
		if len(m.Rows) != 0 || m.Leased || len(sched.offered)+len(sched.woken) != 0 || !m.Meta.TestMode {
			t.Errorf("%s: %d rows, leased %v, scheduled %v %v", name, len(m.Rows), m.Leased, sched.offered, sched.woken)
		}
		for i, e := range m.Events {
			want := event.Accepted
			if i%2 == 1 {
				want = event.Delivered
				if e.Data.Status == nil || e.Data.Status.Code != 650 || e.Data.Status.TLS != nil || e.Data.Status.MXHost != nil {
					t.Errorf("%s: status %+v", name, e.Data.Status)
				}
			}
			if e.Type != want {
				t.Errorf("%s: event %d is %v, want %v", name, i, e.Type, want)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("u%d@one.test", i)
	}
	with := func(change func(*Submission)) Submission {
		s := form()
		change(&s)
		return s
	}
	const badFrom = "from parameter is not a valid address. please check documentation"
	for name, c := range map[string]struct {
		s       Submission
		status  int
		message string
	}{
		"no from":         {with(func(s *Submission) { s.Draft.From = nil }), 400, "from parameter is missing"},
		"bad from":        {with(func(s *Submission) { s.Draft.From = []string{"nobody"} }), 400, badFrom},
		"two in from":     {with(func(s *Submission) { s.Draft.From = []string{"a@mg.example.com", "b@mg.example.com"} }), 400, badFrom},
		"from injects":    {with(func(s *Submission) { s.Draft.From = []string{"a@mg.example.com\r\nBcc: x@y.test"} }), 400, badFrom},
		"no to":           {with(func(s *Submission) { s.To = []string{" "} }), 400, "to parameter is missing"},
		"bad to":          {with(func(s *Submission) { s.To = []string{"a@b.test>"} }), 400, "to parameter is not a valid address. please check documentation"},
		"bad cc":          {with(func(s *Submission) { s.Cc = []string{"x y z"} }), 400, "cc parameter is not a valid address. please check documentation"},
		"bad bcc":         {with(func(s *Submission) { s.Bcc = []string{"@"} }), 400, "bcc parameter is not a valid address. please check documentation"},
		"too many":        {with(func(s *Submission) { s.To = many[:900]; s.Bcc = many[900:] }), 400, "Too many recipients, max is 1000"},
		"no text":         {with(func(s *Submission) { s.Draft.Text = "" }), 400, "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified"},
		"options":         {form("v:big", strings.Repeat("x", sendopt.MaxOptions)), 400, "Send options (parameters starting with o:, h:, or v:) are limited to 16 kB total"},
		"header name":     {form("h:Ü", "x"), 400, "Header name must be pure ASCII: Ü"},
		"date":            {form("o:deliverytime", "tomorrow"), 400, "tomorrow is not an RFC-2822 compliant date"},
		"far ahead":       {form("o:deliverytime", "9999999999"), 400, ""},
		"zone":            {form("o:time-zone-localize", "25:00"), 400, "25:00 invalid 24 hour time(value of 'o:time-zone-localize')"},
		"sending ip":      {form("o:sending-ip", "192.0.2.1"), 403, "Rejected: IP 192.0.2.1 can't be used to send the message"},
		"secondary dkim":  {form("o:secondary-dkim", "x/y"), 400, "x/y is not a valid secondary dkim domain name"},
		"no json":         {form("recipient-variables", "{"), 400, "'recipient-variables' parameter is not a valid JSON"},
		"unknown domain":  {with(func(s *Submission) { s.Sender.Domain = "nobody.test" }), 404, "Domain not found: nobody.test"},
		"eleven tags":     {form(slices.Concat(pairs("o:tag", 11))...), 400, ""},
		"long tag":        {form("o:tag", strings.Repeat("t", 129)), 400, ""},
		"tag with CRLF":   {form("o:tag", "a\r\nBcc: x@y.test"), 400, ""},
		"within too long": {form("o:deliver-within", "25h"), 400, ""},
		"subject injects": {with(func(s *Submission) { s.Draft.Subject = "a\r\nBcc: x@y.test" }), 400, ""}, // SEC-14
		"header injects":  {form("h:X-A", "a\nBcc: x@y.test"), 400, ""},
		"mime without to": {func() Submission { s := mime(""); s.To = nil; return s }(), 400, "to parameter is missing"},
		"two From":        {mime("From: a@mg.example.com\r\n"), 400, ""}, // SEC-16
		"no From":         {func() Submission { s := smtp(""); s.Raw = strings.NewReader("To: a@b.test\r\n\r\nx\r\n"); return s }(), 400, ""},
		"no recipients":   {func() Submission { s := smtp(""); s.Recipients = nil; return s }(), 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeStore(t, domain("mg.example.com"))
			_, err := testRoom(t, f, nil).Accept(t.Context(), c.s)
			e, ok := asError(err)
			if !ok || e.Status != c.status || c.message != "" && e.Message != c.message {
				t.Fatalf("got %v, want %d %q", err, c.status, c.message)
			}
			if strings.ContainsAny(e.Message, "\r\n") {
				t.Errorf("message has more than one line: %q", e.Message)
			}
			if with, _ := f.messages(); len(with) != 0 {
				t.Error("accepted all the same")
			}
		})
	}
}

func pairs(name string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, name, fmt.Sprint(name, i))
	}
	return list
}

func TestDomainState(t *testing.T) {
	const unverified = "Domain mg.example.com is not allowed to send: The domain is unverified and requires DNS configuration. Log in to your control panel to view required DNS records."
	for _, c := range []struct {
		state   store.DomainState
		allow   bool
		message string
	}{
		{store.DomainActive, false, ""},
		{store.DomainActive, true, ""},
		{store.DomainUnverified, true, ""},
		{store.DomainUnverified, false, unverified},
		{store.DomainDisabled, true, "Domain mg.example.com is not allowed to send: The domain is disabled."},
		{"", true, "Domain mg.example.com is not allowed to send: The domain is disabled."},
	} {
		d := domain("mg.example.com")
		d.State = c.state
		r := testRoom(t, newFakeStore(t, d), nil)
		r.cfg.AllowUnverified = c.allow
		_, err := r.Accept(t.Context(), form())
		if c.message == "" {
			if err != nil {
				t.Errorf("%s, %v: %v", c.state, c.allow, err)
			}
			continue
		}
		wantError(t, err, 403, 550, c.message)
	}
}

// SEC-57: two tenants; every field times the other's domain, on every door.
func TestNobodySendsAsAnotherTenant(t *testing.T) {
	fields := []string{"From", "Sender", "Resent-From", "Resent-Sender"}
	for _, field := range fields {
		for name, submit := range map[string]func(string) Submission{
			"form": func(a string) Submission {
				s := form("h:"+field, a)
				if field == "From" {
					s = form()
					s.Draft.From = []string{a}
				}
				return s
			},
			"mime parameter": func(a string) Submission {
				if field == "From" { // reserved as a parameter
					s := mime("")
					s.Raw = strings.NewReader("From: " + a + "\r\n\r\nx\r\n")
					return s
				}
				return mime("", "h:"+field, a)
			},
			"mime": func(a string) Submission { return rawWith(mime(""), field, a) },
			"smtp": func(a string) Submission { return rawWith(smtp(""), field, a) },
		} {
			for _, as := range []string{"x@other.test", "x@sub.other.test", "Name <x@OTHER.test>"} {
				f := newFakeStore(t, domain("mg.example.com"), domain("other.test"))
				_, err := testRoom(t, f, nil).Accept(t.Context(), submit(as))
				e, ok := asError(err)
				if !ok || e.Status != 403 || e.Code != 554 || e.Enhanced != "5.7.1" {
					t.Errorf("%s %s as %s: %v", name, field, as, err)
				}
				with, rejected := f.messages()
				if len(with) != 0 || len(rejected) != 1 || rejected[0].Events[0].Type != event.Rejected || rejected[0].Rows != nil {
					t.Errorf("%s %s as %s: %d accepted, %d rejected events", name, field, as, len(with), len(rejected))
				}
			}
			f := newFakeStore(t, domain("mg.example.com"), domain("other.test"))
			if _, err := testRoom(t, f, nil).Accept(t.Context(), submit("x@example.com")); err != nil {
				t.Errorf("%s %s as the organisation: %v", name, field, err)
			}
		}
	}
	s := smtp("")
	s.ReversePath = mail.Address{Local: "x", Domain: "other.test"}
	f := newFakeStore(t, domain("mg.example.com"), domain("other.test"))
	_, err := testRoom(t, f, nil).Accept(t.Context(), s)
	wantError(t, err, 403, 550, "")
}

// rawWith returns the submission with the field set in its message.
func rawWith(s Submission, field, value string) Submission {
	raw := "From: a@mg.example.com\r\n" + field + ": " + value + "\r\n\r\nx\r\n"
	if field == "From" {
		raw = "From: " + value + "\r\n\r\nx\r\n"
	}
	s.Raw = strings.NewReader(raw)
	return s
}

func TestReversePathOfTheAPI(t *testing.T) {
	for from, want := range map[string]string{
		"a@mg.example.com": "a@mg.example.com",
		"a@example.com":    "a@example.com",
		"a@free.test":      "postmaster@mg.example.com",
	} {
		f := newFakeStore(t, domain("mg.example.com"))
		s := form()
		s.Draft.From = []string{from}
		if _, err := testRoom(t, f, nil).Accept(t.Context(), s); err != nil {
			t.Fatal(from, err)
		}
		if m, _ := f.one(t); m.Envelope.ReversePath.String() != want {
			t.Errorf("from %s: reverse-path %s, want %s", from, m.Envelope.ReversePath, want)
		}
	}
}

func TestTrustedSenderWithoutDomainIsTheOneOfFrom(t *testing.T) {
	f := newFakeStore(t, domain("example.com"))
	s := smtp("")
	s.Sender.Domain, s.Sender.Authenticated, s.ReversePath = "", false, mail.Address{}
	if _, err := testRoom(t, f, nil).Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	m, content := f.one(t)
	if m.Meta.Domain != "example.com" || !m.Envelope.ReversePath.IsZero() || m.Meta.Authenticated {
		t.Errorf("%+v %+v", m.Meta, m.Envelope)
	}
	if !strings.HasPrefix(content, "Received: by mx.sealpost.test with ESMTPSA id ") {
		t.Errorf("no trace:\n%s", content)
	}
	s = smtp("")
	s.Sender.Domain, s.ReversePath, s.Raw = "", mail.Address{}, strings.NewReader("From: a@stranger.test\r\n\r\nx\r\n")
	_, err := testRoom(t, f, nil).Accept(t.Context(), s)
	wantError(t, err, 404, 550, "")
}

func TestTroubleWithTheStore(t *testing.T) {
	for _, c := range []struct {
		fail         error
		status, code int
	}{
		{fmt.Errorf("day file: %w", store.ErrFull), 507, 452},
		{store.ErrClosed, 503, 421},
		{context.DeadlineExceeded, 503, 421},
		{errors.New("disk on fire"), 500, 451},
	} {
		f, sched := newFakeStore(t, domain("mg.example.com")), &fakeScheduler{room: 1 << 20}
		f.fail = func(int) error { return c.fail }
		_, err := testRoom(t, f, sched).Accept(t.Context(), form())
		wantError(t, err, c.status, c.code, "")
		if e, _ := asError(err); strings.Contains(e.Message, "fire") || !errors.Is(err, c.fail) {
			t.Errorf("%v: the cause belongs to the operator: %q", c.fail, e.Message)
		}
		if sched.reserved != 0 || len(sched.offered) != 0 {
			t.Errorf("%v: %d octets stay reserved, %d offered", c.fail, sched.reserved, len(sched.offered))
		}
	}
}

func TestSourceErrorsComeBack(t *testing.T) {
	cut := errors.New("connection cut")
	f := newFakeStore(t, domain("mg.example.com"))
	s := smtp("")
	s.Raw = io.MultiReader(strings.NewReader("From: a@mg.example.com\r\n\r\nx"), iotest.ErrReader(cut))
	_, err := testRoom(t, f, nil).Accept(t.Context(), s)
	if _, refused := asError(err); !errors.Is(err, cut) || refused {
		t.Errorf("got %v, want the reader's error", err)
	}
	if with, rejected := f.messages(); len(with)+len(rejected) != 0 {
		t.Error("something was stored")
	}
}

func TestTooLargeAMessage(t *testing.T) {
	line := strings.Repeat("x", 76) + "\r\n"
	f := newFakeStore(t, domain("mg.example.com"))
	s := smtp("")
	s.Raw = io.MultiReader(strings.NewReader("From: a@mg.example.com\r\n\r\n"), strings.NewReader(strings.Repeat(line, MaxSize/len(line)+1)))
	_, err := testRoom(t, f, nil).Accept(t.Context(), s)
	wantError(t, err, 413, 552, "")
	d := form()
	d.Draft.Attachments = []compose.File{zeros("big.bin", MaxSize)}
	_, err = testRoom(t, f, nil).Accept(t.Context(), d)
	wantError(t, err, 413, 552, "")
}

// zeros is an attachment of n octets.
func zeros(name string, n int64) compose.File {
	return compose.File{Name: name, Size: n, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(zeroReader{}, n)), nil
	}}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestHandOver(t *testing.T) {
	f, sched := newFakeStore(t, domain("mg.example.com")), &fakeScheduler{room: 1 << 20}
	r := testRoom(t, f, sched)
	if _, err := r.Accept(t.Context(), form()); err != nil {
		t.Fatal(err)
	}
	m, want := f.one(t)
	if !m.Leased || len(sched.offered) != 1 || len(sched.woken) != 0 {
		t.Fatalf("leased %v, offered %d, woken %v", m.Leased, len(sched.offered), sched.woken)
	}
	for range 2 { // Open works more than once until done
		content, err := sched.offered[0].Content.Open()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(content); err != nil || string(got) != want {
			t.Errorf("content differs: %v", err)
		}
	}
	sched.done[0]()
	sched.done[0]()

	sched.room = 0 // no budget: the store keeps it
	if _, err := r.Accept(t.Context(), form()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"one.test", "two.test"}; !slices.Equal(sched.woken, want) || len(sched.offered) != 1 {
		t.Errorf("woken %v, want %v", sched.woken, want)
	}
	sched.room, sched.woken = 1<<20, nil
	later := time.Now().Add(time.Hour)
	if _, err := r.Accept(t.Context(), form("o:deliverytime", later.Format(time.RFC1123Z), "o:deliver-within", "1h30m")); err != nil {
		t.Fatal(err)
	}
	with, _ := f.messages()
	row := with[2].Rows[0]
	if with[2].Leased || row.Due.Unix() != later.Unix() || row.Expires.Sub(row.Due) != 90*time.Minute || !with[2].Meta.ScheduledFor.Equal(row.Due) {
		t.Errorf("scheduled: leased %v, %+v", with[2].Leased, row)
	}
}

func TestSpoolFilesAreGone(t *testing.T) {
	f, sched := newFakeStore(t, domain("mg.example.com")), &fakeScheduler{room: 1 << 30}
	r := testRoom(t, f, sched)
	s := form()
	s.Draft.Attachments = []compose.File{zeros("big.bin", 2<<20)}
	if _, err := r.Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(r.cfg.SpoolDir); err != nil || len(left) != 0 {
		t.Errorf("spool files have names: %v, %v", left, err)
	}
	m, _ := f.one(t)
	if len(m.Meta.Attachments) != 1 || m.Meta.Attachments[0].Size != 2<<20 {
		t.Errorf("attachments %+v", m.Meta.Attachments)
	}
}

func TestControlFieldsDoNotTravel(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	s := smtp("X-Mailgun-Tag: a\r\nx-mailgun-tag: B\r\nX-Mailgun-Deliver-By: Mon, 2 Jan 2006 15:04:05 GMT\r\n" +
		"X-Mailgun-Variables: {\"k\": 1,\r\n \"t\":\"x\"}\r\nX-Mailgun-Variables: {\"u\": true}\r\nX-Mailgun-Whatever: 1\r\nBcc: hidden@one.test\r\n")
	if _, err := testRoom(t, f, nil).Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	m, content := f.one(t)
	for _, gone := range []string{"Deliver-By", "Whatever", "hidden@", "Bcc"} {
		if strings.Contains(content, gone) {
			t.Errorf("%s travels:\n%s", gone, content)
		}
	}
	if !slices.Equal(m.Meta.Tags, []string{"a", "B"}) || fmt.Sprint(m.Meta.Variables) != "map[k:1 t:x u:true]" || !strings.Contains(content, "X-Mailgun-Variables") {
		t.Errorf("tags %q, variables %v\n%s", m.Meta.Tags, m.Meta.Variables, content)
	}
}

func TestSuppressedFieldsDoNotTravel(t *testing.T) {
	for value, want := range map[string]string{"all": "", "X-Mailgun-Sid, x-mailgun-tag": "variables", "variables": "sid tag"} {
		for name, s := range map[string]Submission{
			"form": form("o:suppress-headers", value, "o:tag", "a", "v:k", "x"),
			"mime": mime("", "o:suppress-headers", value, "o:tag", "a", "v:k", "x"),
		} {
			f := newFakeStore(t, domain("mg.example.com"))
			if _, err := testRoom(t, f, nil).Accept(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			_, content := f.one(t)
			var got []string
			for _, field := range []string{"sid", "tag", "variables"} {
				if bytes.Contains(bytes.ToLower([]byte(content)), []byte("x-mailgun-"+field)) {
					got = append(got, field)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s, %s: %v travel, want %s", name, value, got, want)
			}
		}
	}
}

func TestRejectedEventsAreBounded(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"), domain("other.test"))
	r := testRoom(t, f, nil)
	for range 3 * rejectBurst {
		s := smtp("")
		s.Raw = strings.NewReader("From: a@other.test\r\n\r\nx\r\n")
		_, err := r.Accept(t.Context(), s)
		wantError(t, err, 403, 554, "")
	}
	if _, rejected := f.messages(); len(rejected) < rejectBurst || len(rejected) > rejectBurst+2 {
		t.Errorf("%d rejected events, want about %d", len(rejected), rejectBurst)
	}
}

func TestAGivenMessageIDIsUsed(t *testing.T) {
	for name, s := range map[string]Submission{
		"form": form("h:Message-Id", "<mine@x.test>"), "mime": mime("", "h:Message-Id", "mine@x.test"),
		"mime with one": mime("Message-Id: <old@x.test>\r\n", "h:Message-Id", "<mine@x.test>"), "smtp": smtp("Message-ID: <mine@x.test>\r\n"),
	} {
		f := newFakeStore(t, domain("mg.example.com"))
		got, err := testRoom(t, f, nil).Accept(t.Context(), s)
		if err != nil {
			t.Fatal(name, err)
		}
		m, content := f.one(t)
		if got.MessageID != "mine@x.test" || m.Meta.MessageID != "mine@x.test" || strings.Count(strings.ToLower(content), "message-id:") != 1 || !strings.Contains(content, "<mine@x.test>") {
			t.Errorf("%s: %q, %q\n%s", name, got.MessageID, m.Meta.MessageID, content)
		}
	}
}
