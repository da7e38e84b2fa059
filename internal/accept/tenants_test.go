package accept

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// ofAccount returns a domain of an account, with DKIM keys of the given selectors.
func ofAccount(t *testing.T, account int64, name string, keys ...store.DKIMKey) store.Domain {
	t.Helper()
	d := domain(name)
	d.AccountID = account
	for _, k := range keys {
		key, err := signing.GenerateEd25519()
		if err != nil {
			t.Fatal(err)
		}
		pem, err := key.PEM()
		if err != nil {
			t.Fatal(err)
		}
		txt, err := key.TXT()
		if err != nil {
			t.Fatal(err)
		}
		k.PrivatePEM, k.Public = string(pem), txt
		d.DKIM = append(d.DKIM, k)
	}
	return d
}

// signatures verifies a message's signatures against the keys of the domains, published under
// their names and those of aliases, and returns domain/selector of each.
func signatures(t *testing.T, content string, aliases map[string]string, domains ...store.Domain) []string {
	t.Helper()
	published := map[string]string{}
	for _, d := range domains {
		for _, k := range d.DKIM {
			published[k.Selector+"._domainkey."+d.Name] = k.Public
			if alias := aliases[d.Name+"/"+k.Selector]; alias != "" {
				name, selector, _ := strings.Cut(alias, "/")
				published[selector+"._domainkey."+name] = k.Public
			}
		}
	}
	var mu sync.Mutex // signatures are verified side by side
	var asked []string
	list, err := dkim.VerifyWithOptions(strings.NewReader(content), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		selector, d, _ := strings.Cut(name, "._domainkey.")
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, d+"/"+selector)
		return []string{published[name]}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if v.Err != nil {
			t.Errorf("signature of %s: %v", v.Domain, v.Err)
		}
	}
	slices.Sort(asked)
	return asked
}

// All active keys sign, once one of them was seen in DNS only those that were.
func TestActiveKeysSign(t *testing.T) {
	seen := time.Now()
	for name, c := range map[string]struct {
		keys []store.DKIMKey
		want []string
	}{
		"none":                       {nil, nil},
		"one":                        {[]store.DKIMKey{{Selector: "s1", Active: true}}, []string{"s1"}},
		"inactive ones do not":       {[]store.DKIMKey{{Selector: "s1"}, {Selector: "s2", Active: true}, {Selector: "s3", SeenAt: seen}}, []string{"s2"}},
		"three":                      {[]store.DKIMKey{{Selector: "s1", Active: true}, {Selector: "s2", Active: true}, {Selector: "s3", Active: true}}, []string{"s1", "s2", "s3"}},
		"unseen beside seen waits":   {[]store.DKIMKey{{Selector: "s1", Active: true, SeenAt: seen}, {Selector: "s2", Active: true, Successor: true}}, []string{"s1"}},
		"seen ones sign together":    {[]store.DKIMKey{{Selector: "s1", Active: true, SeenAt: seen}, {Selector: "s2", Active: true, SeenAt: seen}}, []string{"s1", "s2"}},
		"a retired one does not":     {[]store.DKIMKey{{Selector: "s1", SeenAt: seen, RetiredAt: seen}, {Selector: "s2", Active: true, SeenAt: seen}}, []string{"s2"}},
		"seen, but not active, only": {[]store.DKIMKey{{Selector: "s1", SeenAt: seen}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := ofAccount(t, 1, "mg.example.com", c.keys...)
			f := newFakeStore(t, d)
			if _, err := testRoom(t, f, nil).Accept(t.Context(), form()); err != nil {
				t.Fatal(err)
			}
			_, content := f.one(t)
			var want []string
			for _, s := range c.want {
				want = append(want, "mg.example.com/"+s)
			}
			if got := signatures(t, content, nil, d); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// A domain under another one's authority is signed for by that one's keys, as long as it is there,
// has any, and is of the same account.
func TestAuthoritySigns(t *testing.T) {
	for name, c := range map[string]struct {
		parent *store.Domain
		want   string
	}{
		"there":               {new(ofAccount(t, 1, "example.com", store.DKIMKey{Selector: "p", Active: true})), "example.com/p"},
		"gone":                {nil, "mg.example.com/s1"},
		"another account's":   {new(ofAccount(t, 2, "example.com", store.DKIMKey{Selector: "p", Active: true})), "mg.example.com/s1"},
		"without any own key": {new(ofAccount(t, 1, "example.com")), "mg.example.com/s1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := ofAccount(t, 1, "mg.example.com", store.DKIMKey{Selector: "s1", Active: true})
			d.Settings.DKIMAuthority = "example.com"
			domains := []store.Domain{d}
			if c.parent != nil {
				domains = append(domains, *c.parent)
			}
			f := newFakeStore(t, domains...)
			if _, err := testRoom(t, f, nil).Accept(t.Context(), form()); err != nil {
				t.Fatal(err)
			}
			_, content := f.one(t)
			if got := signatures(t, content, nil, domains...); !slices.Equal(got, []string{c.want}) {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// o:secondary-dkim, for every door: whose keys may be asked for, and under which name.
func TestSecondaryDKIM(t *testing.T) {
	own := ofAccount(t, 1, "mg.example.com", store.DKIMKey{Selector: "s1", Active: true})
	second := ofAccount(t, 1, "second.test", store.DKIMKey{Selector: "k", Active: true}, store.DKIMKey{Selector: "old"})
	foreign := ofAccount(t, 2, "foreign.test", store.DKIMKey{Selector: "k", Active: true})
	all := []store.Domain{own, second, foreign}
	const no = "is not a valid secondary dkim domain name"
	for name, c := range map[string]struct {
		asked, alias string
		narrow       bool // the key is bound to the domain
		want         string
		refused      string
	}{
		"of the account":                      {asked: "second.test/k", want: "second.test/k"},
		"upper case":                          {asked: "Second.Test/K", want: "second.test/k"},
		"inactive":                            {asked: "second.test/old", want: "second.test/old"},
		"under another name":                  {asked: "second.test/k", alias: "public.test/x", want: "public.test/x"},
		"of the domain itself":                {asked: "mg.example.com/s1", narrow: true, want: "mg.example.com/s1"},
		"a domain's key, another domain":      {asked: "second.test/k", narrow: true, refused: "second.test/k " + no},
		"another account's":                   {asked: "foreign.test/k", refused: "foreign.test/k " + no},
		"another account's name":              {asked: "second.test/k", alias: "foreign.test/k", refused: "foreign.test/k " + no},
		"below another account's name":        {asked: "second.test/k", alias: "x.foreign.test/k", refused: "x.foreign.test/k " + no},
		"nobody's":                            {asked: "nobody.test/k", refused: "nobody.test/k " + no},
		"no such selector":                    {asked: "second.test/z", refused: "second.test/z " + no},
		"no selector":                         {asked: "second.test", refused: "second.test " + no},
		"an alias that is none":               {asked: "second.test/k", alias: "public.test/a_b", refused: "public.test/a_b " + no},
		"an alias alone":                      {alias: "public.test/x", refused: "o:secondary-dkim-public requires o:secondary-dkim"},
		"an alias that would inject":          {asked: "second.test/k", alias: "public.test/x\r\nBcc: y", refused: "public.test/x??Bcc: y " + no},
		"a selector of a domain that is none": {asked: "second..test/k", refused: "second..test/k " + no},
	} {
		for door, submit := range map[string]func(options ...string) Submission{
			"form": form, "mime": func(o ...string) Submission { return mime("", o...) },
		} {
			t.Run(door+", "+name, func(t *testing.T) {
				s := submit("o:secondary-dkim", c.asked, "o:secondary-dkim-public", c.alias)
				s.Sender.AccountWide = !c.narrow
				f := newFakeStore(t, all...)
				_, err := testRoom(t, f, nil).Accept(t.Context(), s)
				if c.refused != "" {
					wantError(t, err, 400, 554, c.refused)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				_, content := f.one(t)
				want := []string{"mg.example.com/s1", c.want}
				slices.Sort(want)
				if got := signatures(t, content, map[string]string{c.asked: c.alias}, all...); !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		}
	}
}

// SEC-57 across accounts: the widest key of one account appears as no domain of another,
// in no field, on neither door.
func TestAccountsDoNotSendAsEachOther(t *testing.T) {
	domains := []store.Domain{ofAccount(t, 1, "mg.example.com"), ofAccount(t, 1, "sibling.test"), ofAccount(t, 2, "foreign.test")}
	for name, s := range map[string]func(as string) Submission{
		"from":   func(as string) Submission { s := form(); s.Draft.From = []string{"a@" + as}; return s },
		"sender": func(as string) Submission { return form("h:Sender", "a@"+as) },
		"resent": func(as string) Submission { return mime("Resent-From: a@" + as + "\r\n") },
	} {
		for as, allowed := range map[string]bool{"sibling.test": true, "foreign.test": false, "x.foreign.test": false} {
			submission := s(as)
			submission.Sender.AccountWide = true
			_, err := testRoom(t, newFakeStore(t, domains...), nil).Accept(t.Context(), submission)
			if allowed && err != nil {
				t.Errorf("%s as %s: %v", name, as, err)
			}
			if !allowed {
				wantError(t, err, 403, 554, "Domain mg.example.com is not allowed to send as "+as)
			}
		}
	}
}

func TestADisabledAccountDoesNotSend(t *testing.T) {
	d := ofAccount(t, 2, "mg.example.com")
	d.AccountDisabled = true
	for name, s := range map[string]Submission{"form": form(), "mime": mime(""), "smtp": smtp("")} {
		_, err := testRoom(t, newFakeStore(t, d), nil).Accept(t.Context(), s)
		e, ok := asError(err)
		if !ok || e.Status != 403 || e.Code != 550 || e.Message != "Domain mg.example.com is not allowed to send: The account is disabled." {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A book gives one address to whoever asks for it or for its pool.
type book struct{ addr netip.Addr }

func (b book) Sources(_ context.Context, d store.Domain, ip, pool string) ([]netip.Addr, error) {
	switch {
	case ip == b.addr.String(), pool == "p1":
		return []netip.Addr{b.addr}, nil
	case ip != "" || pool != "":
		return nil, fmt.Errorf("choose: %w", store.ErrNotFound)
	}
	return nil, nil
}

func TestSourceAddresses(t *testing.T) {
	ours := netip.MustParseAddr("192.0.2.25")
	for name, c := range map[string]struct {
		s       Submission
		want    []netip.Addr
		refused string
	}{
		"nothing asked":    {form(), nil, ""},
		"an address":       {form("o:sending-ip", "192.0.2.25"), []netip.Addr{ours}, ""},
		"a pool":           {form("o:sending-ip-pool", "p1"), []netip.Addr{ours}, ""},
		"a pool, by field": {form("h:X-Mailgun-Sending-Ip-Pool", "p1"), []netip.Addr{ours}, ""},
		"by smtp":          {smtp("X-Mailgun-Sending-Ip: 192.0.2.25\r\n"), []netip.Addr{ours}, ""},
		"not ours":         {form("o:sending-ip", "192.0.2.1"), nil, "Rejected: IP 192.0.2.1 can't be used to send the message"},
		"no such pool":     {form("o:sending-ip-pool", "p2"), nil, "Rejected: IP pool p2 can't be used to send the message"},
	} {
		f := newFakeStore(t, domain("mg.example.com"))
		room := testRoom(t, f, nil)
		room.cfg.Sources = book{ours}
		_, err := room.Accept(t.Context(), c.s)
		if c.refused != "" {
			wantError(t, err, 403, 550, c.refused)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m, content := f.one(t)
		if !slices.Equal(m.Envelope.Sources, c.want) {
			t.Errorf("%s: %v", name, m.Envelope.Sources)
		}
		if strings.Contains(strings.ToLower(content), "sending-ip") {
			t.Errorf("%s: the option travels", name)
		}
	}
}
