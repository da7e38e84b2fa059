package tracking

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

func TestParseWish(t *testing.T) {
	for s, want := range map[string]Wish{"": Unset, " ": Unset, "yes": Yes, "True": Yes, "no": No, "FALSE": No, "htmlonly": HTMLOnly, "HtmlOnly": HTMLOnly} {
		if got, err := ParseWish(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"on", "1", "html"} {
		if _, err := ParseWish(s); err == nil {
			t.Errorf("%q is a wish", s)
		}
	}
}

// All combinations of the domain's settings and the message's wishes.
func TestResolve(t *testing.T) {
	wishes := []Wish{Unset, No, Yes, HTMLOnly}
	for _, opens := range []bool{false, true} {
		for _, clicks := range []store.Clicks{store.ClicksOff, store.ClicksAll, store.ClicksHTML} {
			for _, all := range wishes {
				for _, o := range wishes {
					for _, c := range wishes {
						got := Resolve(store.Tracking{Opens: opens, Clicks: clicks}, Wishes{All: all, Opens: o, Clicks: c})
						wantOpens, wantClicks := opens, clicks
						for _, w := range []Wish{all, o} {
							if w != Unset {
								wantOpens = w != No
							}
						}
						for _, w := range []Wish{all, c} {
							if w != Unset {
								wantClicks = map[Wish]store.Clicks{No: store.ClicksOff, Yes: store.ClicksAll, HTMLOnly: store.ClicksHTML}[w]
							}
						}
						if got.Opens != wantOpens || got.Clicks != wantClicks {
							t.Errorf("opens %v clicks %q, wishes %v %v %v: got %v %q", opens, clicks, all, o, c, got.Opens, got.Clicks)
						}
					}
				}
			}
		}
	}
	if p := Resolve(store.Tracking{}, Wishes{}); p.Any() || p.HTMLFooter != DefaultHTMLFooter || p.TextFooter != DefaultTextFooter {
		t.Errorf("nothing asked for gives %+v", p)
	}
	if p := Resolve(store.Tracking{PixelTop: true}, Wishes{PixelTop: No}); p.PixelTop {
		t.Error("the message's wish does not win")
	}
	if p := Resolve(store.Tracking{Unsubscribe: true, HTMLFooter: "x"}, Wishes{All: No}); !p.Unsubscribe || p.HTMLFooter != "x" {
		t.Error("o:tracking=no takes the way out from recipients")
	}
}

func testDomain(scheme, cname string) *store.Domain {
	return &store.Domain{ID: 7, Name: "example.com", Settings: store.DomainSettings{WebScheme: scheme, WebPrefix: "links"},
		Checks: []store.DNSCheck{{Name: "links.example.com", Type: store.CheckCNAME, Valid: cname}}}
}

func TestBases(t *testing.T) {
	tests := []struct {
		name, public, scheme, cname string
		base, unsubscribe           string
	}{
		{"nothing", "", "", "unknown", "", ""},
		{"the public address until the name was seen", "https://api.example.net", "https", "unknown", "https://api.example.net", "https://api.example.net"},
		{"also when it points elsewhere", "https://api.example.net/", "https", "invalid", "https://api.example.net", "https://api.example.net"},
		{"the tracking host", "https://api.example.net", "https", "valid", "https://links.example.com", "https://links.example.com"},
		{"http by default, but not to unsubscribe", "https://api.example.net", "", "valid", "http://links.example.com", "https://api.example.net"},
		{"http where there is no other", "http://api.example.net:8080", "http", "valid", "http://links.example.com", "http://links.example.com"},
		{"the tracking host alone", "", "https", "valid", "https://links.example.com", "https://links.example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, d := NewHosts(tt.public), testDomain(tt.scheme, tt.cname)
			if b, u := h.Base(d), h.UnsubscribeBase(d); b != tt.base || u != tt.unsubscribe {
				t.Errorf("got %q and %q, want %q and %q", b, u, tt.base, tt.unsubscribe)
			}
		})
	}
}

func TestHostName(t *testing.T) {
	h := NewHosts("https://API.example.net:8443")
	for host, want := range map[string]string{
		"LINKS.example.com.": "links.example.com", "links.example.com:80": "links.example.com", "api.example.net:8443": "api.example.net",
		"": "", "[::1]:80": "::1", "[::1]": "::1", "192.0.2.1:8080": "192.0.2.1",
	} {
		if got := HostName(host); got != want || h.Own(got) != (want == "api.example.net") {
			t.Errorf("%q: got %q, own %v", host, got, h.Own(got))
		}
	}
	if NewHosts("").Own("") {
		t.Error("a server that does not know its name has one")
	}
}

func testMarker(t *testing.T, p Plan, tags ...string) (*Marker, *Keyring) {
	t.Helper()
	keys := openKeyring(t, openStore(t))
	if p.HTMLFooter == "" {
		p.HTMLFooter, p.TextFooter = DefaultHTMLFooter, DefaultTextFooter
	}
	m := New(keys, NewHosts("https://t.example")).Mark(testDomain("https", "unknown"), p,
		Letter{Message: 0x42, Recipient: mail.Address{Local: "ann", Domain: "example.net"}, Tags: tags})
	if m == nil {
		t.Fatal("there is no marker")
	}
	return m, keys
}

var linkPattern = regexp.MustCompile(`https://t\.example(/[cou]/)([A-Za-z0-9_-]+)`)

// opened lists what the links of a text say, and the text with a star in the place of each.
func opened(t *testing.T, keys *Keyring, text string) (links []Link, rest string) {
	t.Helper()
	paths := map[Kind]string{Open: OpenPath, Click: ClickPath, Unsubscribe: UnsubscribePath, UnsubscribeTags: UnsubscribePath}
	for _, m := range linkPattern.FindAllStringSubmatch(text, -1) {
		l, ok := keys.Open(m[2])
		if !ok || l.DomainID != 7 || l.Message != 0x42 || paths[l.Kind] != m[1] {
			t.Errorf("link %s says %+v, %v", m[0], l, ok)
		}
		links = append(links, l)
	}
	return links, linkPattern.ReplaceAllString(text, "*")
}

func TestMarkerText(t *testing.T) {
	const pixel = `<img src="*" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`
	tests := []struct {
		name, media, text string
		plan              Plan
		want              string
		kinds             []Kind
	}{
		{"nothing", "text/html", `<a href="https://x.example">x</a>`, Plan{}, `<a href="https://x.example">x</a>`, nil},
		{"clicks", "text/html", `<a href="https://x.example">x</a>`, Plan{Clicks: store.ClicksAll}, `<a href="*">x</a>`, []Kind{Click}},
		{"clicks in text", "text/plain", `x https://x.example`, Plan{Clicks: store.ClicksAll}, `x *`, []Kind{Click}},
		{"clicks in HTML only", "text/plain", `x https://x.example`, Plan{Clicks: store.ClicksHTML}, `x https://x.example`, nil},
		{"opens", "text/html", `<p>x</p>`, Plan{Opens: true}, `<p>x</p>` + pixel, []Kind{Open}},
		{"opens on top", "text/html", `<p>x</p>`, Plan{Opens: true, PixelTop: true}, pixel + `<p>x</p>`, []Kind{Open}},
		{"opens do not show in text", "text/plain", `x`, Plan{Opens: true}, `x`, nil},
		{"footer", "text/html", `<body>x</body>`, Plan{Unsubscribe: true, Clicks: store.ClicksAll}, "<body>x\n<br>\n<p><a href=\"*\">unsubscribe</a></p>\n</body>", []Kind{Unsubscribe}},
		{"footer of text", "text/plain", `x`, Plan{Unsubscribe: true, Clicks: store.ClicksAll}, "x\n\nTo unsubscribe click: <*>\n\n", []Kind{Unsubscribe}},
		{"own link, no footer", "text/html", `<a href="%tag_unsubscribe_url%">x</a>`, Plan{Unsubscribe: true, Clicks: store.ClicksAll}, `<a href="*">x</a>`, []Kind{UnsubscribeTags}},
		{"places without a plan", "text/plain", `%unsubscribe_url% %mailing_list_unsubscribe_url% %unsubscribe_email%`, Plan{}, `* * %unsubscribe_email%`, []Kind{Unsubscribe, Unsubscribe}},
		{"AMP gets places only", "text/x-amp-html", `<a href="https://x.example">x</a><a href="%unsubscribe_url%">`, Plan{Clicks: store.ClicksAll, Opens: true, Unsubscribe: true}, `<a href="https://x.example">x</a><a href="*">`, []Kind{Unsubscribe}},
		{"calendar", "text/calendar", `URL:https://x.example %unsubscribe_url%`, Plan{Clicks: store.ClicksAll}, `URL:https://x.example %unsubscribe_url%`, nil},
		{"signed within the text", "text/plain", "-----BEGIN PGP SIGNED MESSAGE-----\r\nhttps://x.example", Plan{Clicks: store.ClicksAll, Unsubscribe: true}, "-----BEGIN PGP SIGNED MESSAGE-----\r\nhttps://x.example", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, keys := testMarker(t, tt.plan, "news", "two")
			got := m.Text(tt.media, tt.text)
			links, rest := opened(t, keys, got)
			if rest != tt.want {
				t.Errorf("got  %s\nwant %s", rest, tt.want)
			}
			var kinds []Kind
			for _, l := range links {
				kinds = append(kinds, l.Kind)
				if l.Kind == Click && l.URL != "https://x.example" {
					t.Errorf("click leads to %s", l.URL)
				}
				if l.Kind == UnsubscribeTags && !slices.Equal(l.Tags, []string{"news", "two"}) || l.Kind >= Unsubscribe && l.Recipient != "ann@example.net" {
					t.Errorf("unsubscribes %+v", l)
				}
			}
			if !slices.Equal(kinds, tt.kinds) {
				t.Errorf("links are %v, want %v", kinds, tt.kinds)
			}
			if again := m.Text(tt.media, got); tt.plan.Clicks != store.ClicksOff && !tt.plan.Opens && !tt.plan.Unsubscribe && again != got {
				t.Errorf("marked up twice:\n%s\n%s", got, again)
			}
		})
	}
}

func TestFields(t *testing.T) {
	const all, post = "List-Unsubscribe: <*>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
	tests := []struct {
		name  string
		plan  Plan
		given []Field
		want  []string
	}{
		{"nothing", Plan{Opens: true}, nil, nil},
		{"wanted", Plan{Unsubscribe: true}, nil, []string{all, post}},
		{"the sender's own", Plan{Unsubscribe: true}, []Field{{"list-unsubscribe", "<https://theirs.example/u>"}}, nil},
		{"the sender's own by mail", Plan{Unsubscribe: true}, []Field{{"List-Unsubscribe", "<mailto:u@theirs.example>"}}, nil},
		{"our link in the sender's", Plan{}, []Field{{"List-Unsubscribe", "<%tag_unsubscribe_url%>"}}, []string{post}},
		{"our link beside an address for mail", Plan{}, []Field{{"List-Unsubscribe", "<mailto:u@theirs.example>, <%unsubscribe_url%>"}}, []string{post}},
		{"our link beside another", Plan{}, []Field{{"List-Unsubscribe", "<https://theirs.example/u>, <%unsubscribe_url%>"}}, nil},
		{"the sender's own both", Plan{}, []Field{{"List-Unsubscribe", "<%unsubscribe_url%>"}, {"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"}}, nil},
		{"a lonely post", Plan{Unsubscribe: true}, []Field{{"List-Unsubscribe-Post", "x"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, keys := testMarker(t, tt.plan, "news")
			for i := range tt.given {
				tt.given[i].Value = m.Value(tt.given[i].Value)
			}
			var got []string
			for _, f := range m.Fields(tt.given) {
				_, value := opened(t, keys, f.Value)
				got = append(got, f.Name+": "+value)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// RFC 8058 needs https: without it there is a link, and no promise about it.
func TestNoOneClickOverHTTP(t *testing.T) {
	keys := openKeyring(t, openStore(t))
	m := New(keys, NewHosts("http://t.example")).Mark(testDomain("http", "valid"), Plan{Unsubscribe: true}, Letter{Message: 1})
	if f := m.Fields(nil); len(f) != 1 || f[0].Name != "List-Unsubscribe" {
		t.Errorf("got %v", f)
	}
}

func TestNowhereToLead(t *testing.T) {
	tracker := New(openKeyring(t, openStore(t)), NewHosts(""))
	if m := tracker.Mark(testDomain("", "unknown"), Plan{Opens: true}, Letter{Message: 1}); m != nil {
		t.Error("there is a marker")
	}
}

func TestWithoutPlaceholders(t *testing.T) {
	for value, want := range map[string]string{
		"<https://x.example/u>, <%tag_unsubscribe_email%>": "<https://x.example/u>",
		"<mailto:%unsubscribe_email%>":                     "",
		"<%unsubscribe_url%>,<mailto:u@x.example>":         "<mailto:u@x.example>",
		"<https://x.example/?a=%unsubscribe_url%>":         "<https://x.example/?a=%unsubscribe_url%>",
	} {
		if got := WithoutPlaceholders(value); got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
	if !Uses("a %tag_unsubscribe_url%") || Uses("a %unsubscribe_email% % _url%") || Uses(strings.Repeat("%", 10)) {
		t.Error("placeholders are not told apart")
	}
}
