package accept

import (
	"bytes"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tracking"
)

// A trackRig is a room on a real store, with a real tracker.
type trackRig struct {
	store *sqlite.Store
	keys  *tracking.Keyring
	room  *Room
	log   *bytes.Buffer
}

func newTrackRig(t *testing.T, publicURL string, settings store.Tracking) *trackRig {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	d := store.Domain{Name: "example.com", State: store.DomainActive, Settings: store.DomainSettings{Tracking: settings}}
	if err := s.CreateDomain(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	keys, err := tracking.OpenKeyring(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	rg := &trackRig{store: s, keys: keys, log: &bytes.Buffer{}}
	rg.room = New(Config{Hostname: "mx.example.net", SpoolDir: t.TempDir(), Tracker: tracking.New(keys, tracking.NewHosts(publicURL))},
		s, s, nil, slog.New(slog.NewTextHandler(rg.log, nil)))
	return rg
}

// A sent is one letter as it was stored.
type sent struct {
	store.Message
	raw  string
	view *compose.View
}

// send accepts a submission and returns its letters in the order of their recipients.
func (rg *trackRig) send(t *testing.T, s Submission) []sent {
	t.Helper()
	s.Sender.Domain, s.Sender.Authenticated = "example.com", true
	if _, err := rg.room.Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	rows, err := rg.store.Rows(t.Context(), store.RowQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var list []sent
	seen := map[mail.ID]bool{}
	for _, row := range rows {
		if seen[row.Message] {
			continue
		}
		seen[row.Message] = true
		m, err := rg.store.Message(t.Context(), 1, row.Message)
		if err != nil {
			t.Fatal(err)
		}
		c, err := rg.store.Content(t.Context(), 1, row.Message)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		view, err := compose.ReadView(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, sent{m, string(raw), view})
	}
	return list
}

var ourLink = regexp.MustCompile(`https://t\.example/[cou]/([A-Za-z0-9_-]+)`)

// links opens the links of a text, and returns the text with the kind of each in its place.
func (rg *trackRig) links(t *testing.T, m sent, text string) (links []tracking.Link, rest string) {
	t.Helper()
	rest = ourLink.ReplaceAllStringFunc(text, func(s string) string {
		l, ok := rg.keys.Open(ourLink.FindStringSubmatch(s)[1])
		if !ok || l.Message != m.ID || l.DomainID != 1 {
			t.Errorf("link %s of message %v says %+v, %v", s, m.ID, l, ok)
		}
		links = append(links, l)
		return map[tracking.Kind]string{tracking.Open: "OPEN", tracking.Click: "CLICK", tracking.Unsubscribe: "LEAVE", tracking.UnsubscribeTags: "LEAVETAGS"}[l.Kind]
	})
	return links, rest
}

func issue(to ...string) Submission {
	return Submission{To: to, Draft: &Draft{From: []string{"Bob <bob@example.com>"}, Subject: "Hi",
		Text: "see https://example.org/a?b=1&c=2", HTML: `<body><a href="https://example.org/a?b=1&amp;c=2">see</a></body>`}}
}

func asks(pairs ...string) []compose.Field {
	var list []compose.Field
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, compose.Field{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

func TestNothingIsTrackedByDefault(t *testing.T) {
	rg := newTrackRig(t, "https://t.example", store.Tracking{})
	s := issue("ann@example.net, amy@example.net")
	got := rg.send(t, s)
	if len(got) != 1 || len(got[0].Meta.Recipients) != 2 || strings.Contains(got[0].raw, "t.example") {
		t.Errorf("%d letters: %s", len(got), got[0].raw)
	}
	if got[0].view.BodyHTML != s.Draft.HTML || strings.TrimSpace(got[0].view.BodyPlain) != s.Draft.Text {
		t.Errorf("texts are %q and %q", got[0].view.BodyHTML, got[0].view.BodyPlain)
	}
}

func TestTrackedDraft(t *testing.T) {
	rg := newTrackRig(t, "https://t.example", store.Tracking{Clicks: store.ClicksAll})
	s := issue("ann@example.net, amy@example.net")
	s.Bcc, s.Options = []string{"eve@example.net"}, asks("o:tracking-opens", "yes", "o:tag", "news")
	got := rg.send(t, s)
	var recipients []string
	for _, m := range got {
		recipients = append(recipients, m.Meta.Recipients...)
		links, rest := rg.links(t, m, m.view.BodyHTML)
		if want := `<body><a href="CLICK">see</a><img src="OPEN" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0"></body>`; rest != want {
			t.Errorf("HTML is %s", rest)
		}
		if links[0].URL != "https://example.org/a?b=1&c=2" {
			t.Errorf("link leads to %s", links[0].URL)
		}
		if _, rest := rg.links(t, m, m.view.BodyPlain); strings.TrimSpace(rest) != "see CLICK" {
			t.Errorf("text is %q", rest)
		}
		if m.Meta.MessageID != got[0].Meta.MessageID || m.view.Header("To") != "ann@example.net, amy@example.net" {
			t.Errorf("letter is %s to %s", m.Meta.MessageID, m.view.Header("To"))
		}
		if m.view.Header("List-Unsubscribe") != "" {
			t.Error("a way out that nobody asked for")
		}
	}
	slices.Sort(recipients)
	if !slices.Equal(recipients, []string{"amy@example.net", "ann@example.net", "eve@example.net"}) {
		t.Errorf("recipients are %v", recipients)
	}
}

func TestMessageWishesWin(t *testing.T) {
	rg := newTrackRig(t, "https://t.example", store.Tracking{Clicks: store.ClicksAll, Opens: true})
	s := issue("ann@example.net")
	s.Options = asks("o:tracking", "no", "o:tracking-clicks", "htmlonly")
	m := rg.send(t, s)[0]
	if _, rest := rg.links(t, m, m.view.BodyHTML+m.view.BodyPlain); strings.TrimSpace(rest) != `<body><a href="CLICK">see</a></body>see https://example.org/a?b=1&c=2` {
		t.Errorf("got %s", rest)
	}
	bad := issue("ann@example.net")
	bad.Options, bad.Sender.Domain = asks("o:tracking", "maybe"), "example.com"
	if _, err := rg.room.Accept(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "htmlonly") {
		t.Errorf("got %v", err)
	}
}

func TestUnsubscribeFooterAndFields(t *testing.T) {
	rg := newTrackRig(t, "https://t.example", store.Tracking{Unsubscribe: true})
	m := rg.send(t, issue("ann@example.net"))[0]
	links, rest := rg.links(t, m, m.view.BodyHTML)
	if !strings.Contains(rest, `<p><a href="LEAVE">unsubscribe</a></p>`) || links[0].Recipient != "ann@example.net" {
		t.Errorf("HTML is %s", rest)
	}
	if _, rest := rg.links(t, m, m.view.BodyPlain); !strings.Contains(rest, "To unsubscribe click: <LEAVE>") {
		t.Errorf("text is %q", rest)
	}
	if _, rest := rg.links(t, m, m.view.Header("List-Unsubscribe")); rest != "<LEAVE>" || m.view.Header("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" {
		t.Errorf("fields are %s and %s", rest, m.view.Header("List-Unsubscribe-Post"))
	}
}

// What Ghost sends, section by section of its surface.
func TestPersonalLinks(t *testing.T) {
	rg := newTrackRig(t, "https://t.example", store.Tracking{})
	s := issue("ann@example.net", "amy@example.net")
	s.Draft.HTML = `<a href="https://blog.example/%recipient.uuid%">x</a><a href="%recipient.leave%">y</a>`
	s.Draft.Text = "x"
	s.Options = asks("recipient-variables", `{"ann@example.net":{"uuid":"1","leave":"https://blog.example/u/1"},"amy@example.net":{"uuid":"2","leave":"%tag_unsubscribe_url%"}}`,
		"h:List-Unsubscribe", "<%recipient.leave%>, <%tag_unsubscribe_email%>", "h:List-Unsubscribe-Post", "List-Unsubscribe=One-Click", "o:tracking-opens", "True", "o:tag", "bulk-email")
	var got []string
	for _, m := range rg.send(t, s) {
		_, html := rg.links(t, m, m.view.BodyHTML)
		_, offer := rg.links(t, m, m.view.Header("List-Unsubscribe"))
		got = append(got, m.Meta.Recipients[0]+": "+offer+" "+strings.Split(html, "<img")[0])
		if strings.Count(html, "OPEN") != 1 || strings.Count(m.raw, "List-Unsubscribe-Post:") != 1 {
			t.Errorf("letter is %s", m.raw)
		}
	}
	slices.Sort(got)
	want := []string{
		`amy@example.net: <LEAVETAGS> <a href="https://blog.example/2">x</a><a href="LEAVETAGS">y</a>`,
		`ann@example.net: <https://blog.example/u/1> <a href="https://blog.example/1">x</a><a href="https://blog.example/u/1">y</a>`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// Without an address of ours nothing is promised, and mail goes out.
func TestNoAddress(t *testing.T) {
	rg := newTrackRig(t, "", store.Tracking{Opens: true, Clicks: store.ClicksAll, Unsubscribe: true})
	s := issue("ann@example.net, amy@example.net")
	s.Options = asks("h:List-Unsubscribe", "<%unsubscribe_url%>, <mailto:leave@example.com>")
	for range 2 {
		rg.send(t, s)
	}
	got := rg.send(t, s)
	if len(got) != 3 || got[0].view.BodyHTML != s.Draft.HTML || got[0].view.Header("List-Unsubscribe") != "<mailto:leave@example.com>" {
		t.Errorf("%d letters: %s", len(got), got[0].raw)
	}
	if n := strings.Count(rg.log.String(), "mail is not tracked"); n != 1 {
		t.Errorf("the log says so %d times: %s", n, rg.log)
	}
}

func rawMessage(body string, fields ...string) string {
	head := "From: Bob <bob@example.com>\nTo: list@example.com\nSubject: Hi\nMessage-ID: <m@example.com>\nMIME-Version: 1.0\n"
	for _, f := range fields {
		head += f + "\n"
	}
	return strings.ReplaceAll(head+body, "\n", "\r\n")
}

func (rg *trackRig) sendRaw(t *testing.T, raw string, to ...string) []sent {
	t.Helper()
	s := Submission{Sender: Sender{Door: SMTP, Protocol: "ESMTPSA"}, Raw: strings.NewReader(raw), ReversePath: mail.Address{Local: "bob", Domain: "example.com"}}
	for _, a := range to {
		address, err := mail.ParseAddress(a)
		if err != nil {
			t.Fatal(err)
		}
		s.Recipients = append(s.Recipients, address)
	}
	return rg.send(t, s)
}

const alternative = `Content-Type: multipart/alternative; boundary=b

preamble
--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe https://example.org/a=3Fb and https://example.org/very/long/link/th=
at/is/broken
--b
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PGJvZHk+PHA+R3LDvMOfZTwvcD48YSBocmVmPSJodHRwczovL2V4YW1wbGUub3JnL3g/YT0xJmFtcDtiPTIiPng8L2E+PC9ib2R5Pg==
--b--
`

func TestTrackedRaw(t *testing.T) {
	rg := newTrackRig(t, "https://t.example", store.Tracking{Clicks: store.ClicksAll, Opens: true, Unsubscribe: true})
	got := rg.sendRaw(t, rawMessage(alternative), "ann@example.net", "amy@example.net")
	if len(got) != 2 {
		t.Fatalf("%d letters", len(got))
	}
	for _, m := range got {
		links, html := rg.links(t, m, m.view.BodyHTML)
		if !strings.HasPrefix(html, `<body><p>Grüße</p><a href="CLICK">x</a>`) || !strings.Contains(html, `<a href="LEAVE">`) || !strings.Contains(html, `src="OPEN"`) || links[0].URL != "https://example.org/x?a=1&b=2" {
			t.Errorf("HTML is %s", html)
		}
		links, text := rg.links(t, m, m.view.BodyPlain)
		if !strings.HasPrefix(text, "Grüße CLICK and CLICK") || !strings.Contains(text, "<LEAVE>") || links[1].URL != "https://example.org/very/long/link/that/is/broken" {
			t.Errorf("text is %q", text)
		}
		if _, offer := rg.links(t, m, m.view.Header("List-Unsubscribe")); offer != "<LEAVE>" {
			t.Errorf("offer is %q", offer)
		}
		if m.view.Header("Message-ID") != "<m@example.com>" {
			t.Errorf("Message-ID is %s", m.view.Header("Message-ID"))
		}
	}
}

// Signed and encrypted mail is what its sender made it, but for the header.
func TestSignedMailStays(t *testing.T) {
	rg := newTrackRig(t, "https://t.example", store.Tracking{Clicks: store.ClicksAll, Opens: true, Unsubscribe: true})
	const inner = `--s
Content-Type: text/html; charset=utf-8

<a href="https://example.org/">x %unsubscribe_url%</a>
--s
Content-Type: application/pgp-signature

-----BEGIN PGP SIGNATURE-----
--s--
`
	m := rg.sendRaw(t, rawMessage("Content-Type: multipart/signed; boundary=s; protocol=\"application/pgp-signature\"; micalg=pgp-sha256\n\n"+inner), "ann@example.net")[0]
	if !strings.HasSuffix(m.raw, strings.ReplaceAll("\n\n"+inner, "\n", "\r\n")) {
		t.Errorf("body changed:\n%s", m.raw)
	}
	if m.view.Header("List-Unsubscribe") == "" {
		t.Error("has no way out")
	}
}

// Attachments and messages in messages are not texts of the message.
func TestAttachmentsStay(t *testing.T) {
	rg := newTrackRig(t, "https://t.example", store.Tracking{Clicks: store.ClicksAll, Opens: true})
	const body = `Content-Type: multipart/mixed; boundary=m

--m
Content-Type: text/html; name=page.html
Content-Disposition: attachment; filename=page.html

<a href="https://example.org/attached">x</a>
--m
Content-Type: message/rfc822

From: a@example.org
Content-Type: text/html

<a href="https://example.org/forwarded">x</a>
--m--
`
	m := rg.sendRaw(t, rawMessage(body), "ann@example.net")[0]
	if strings.Contains(m.raw, "t.example") {
		t.Errorf("message is %s", m.raw)
	}
}

func TestPlaceholdersInRaw(t *testing.T) {
	const leave = `Content-Type: text/plain
Content-Transfer-Encoding: quoted-printable

leave: %tag_unsub=
scribe_url%
`
	rg := newTrackRig(t, "https://t.example", store.Tracking{})
	for _, m := range rg.sendRaw(t, rawMessage(leave, "List-Unsubscribe: <%unsubscribe_url%>, <%unsubscribe_email%>", "X-Mailgun-Tag: news"), "ann@example.net", "amy@example.net") {
		links, text := rg.links(t, m, m.view.BodyPlain)
		if strings.TrimSpace(text) != "leave: LEAVETAGS" || links[0].Recipient != m.Meta.Recipients[0] || !slices.Equal(links[0].Tags, []string{"news"}) {
			t.Errorf("text is %q, link %+v", text, links)
		}
		if _, offer := rg.links(t, m, m.view.Header("List-Unsubscribe")); offer != "<LEAVE>" || strings.Count(m.raw, "List-Unsubscribe:") != 1 || m.view.Header("List-Unsubscribe-Post") == "" {
			t.Errorf("letter is %s", m.raw)
		}
	}
}

// base64 may hide a placeholder, and usually does not: then several recipients share a letter.
func TestBase64WithoutPlaceholders(t *testing.T) {
	rg := newTrackRig(t, "https://t.example", store.Tracking{})
	raw := rawMessage(alternative)
	got := rg.sendRaw(t, raw, "ann@example.net", "amy@example.net")
	if len(got) != 1 {
		t.Fatalf("%d letters", len(got))
	}
	single := newTrackRig(t, "https://t.example", store.Tracking{}).sendRaw(t, raw, "ann@example.net")[0]
	for _, m := range []sent{got[0], single} {
		if body := raw[strings.Index(raw, "preamble"):]; !strings.HasSuffix(m.raw, body) {
			t.Errorf("body changed:\n%s", m.raw)
		}
	}
}

// Machines that answer are not tracked: nobody could unsubscribe from them.
func TestNullReversePathIsNotTracked(t *testing.T) {
	rg := newTrackRig(t, "https://t.example", store.Tracking{Unsubscribe: true, Clicks: store.ClicksAll})
	s := Submission{Sender: Sender{Door: SMTP}, Raw: strings.NewReader(rawMessage("\nsee https://example.org/\n")), Recipients: []mail.Address{{Local: "ann", Domain: "example.net"}}}
	if m := rg.send(t, s)[0]; strings.Contains(m.raw, "t.example") {
		t.Errorf("message is %s", m.raw)
	}
}
