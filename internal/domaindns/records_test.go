package domaindns

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/store"
)

// What a domain must publish, and what does not count.
func TestRecordRules(t *testing.T) {
	const key = "k=rsa; p=MIIB"
	for _, c := range []struct {
		name  string
		found []string
		want  bool
	}{
		{"none", nil, false},
		{"ours", []string{key}, true},
		{"with version and spaces", []string{"v=DKIM1 ; k=rsa;p = MI IB"}, true},
		{"key type left out", []string{"p=MIIB"}, true},
		{"another key", []string{"k=rsa; p=XXXX"}, false},
		{"revoked", []string{"k=rsa; p="}, false},
		{"another type", []string{"k=ed25519; p=MIIB"}, false},
		{"another version", []string{"v=DKIM2; p=MIIB"}, false},
		{"two keys", []string{key, "p=XXXX"}, false},
		{"beside other text", []string{"hello", key}, true},
	} {
		if got := PublishesKey(c.found, key); got != c.want {
			t.Errorf("key, %s: %v", c.name, got)
		}
	}
	for spf, want := range map[string]bool{
		"v=spf1 a:mx.example.net ~all": true, "v=spf1 +a:MX.example.net -all": true, "V=SPF1 mx a:mx.example.net": true, "v=spf1 ip4:192.0.2.1 a:mx.example.net include:x -all": true,
		"v=spf1 -all": false, "v=spf1 -a:mx.example.net ~all": false, "v=spf1 ~a:mx.example.net all": false, "v=spf1 a ~all": false, "v=spf1 -all a:mx.example.net": false,
		"v=spf10 a:mx.example.net": false, "v=spf1": false, "": false, "a:mx.example.net": false, "v=spf1 a:mx.example.net.evil ~all": false,
	} {
		if got := Permits([]string{"other=1", spf}, "mx.example.net"); got != want {
			t.Errorf("%q: %v", spf, got)
		}
	}
	if Permits([]string{"v=spf1 a:mx.example.net ~all", "v=spf1 -all"}, "mx.example.net") {
		t.Error("two policies were taken for one")
	}
}

// A zone answers from a table: "TYPE name" to records; "!TYPE name" fails.
type zone map[string][]string

func (z zone) find(kind, name string) ([]string, error) {
	if _, fails := z["!"+kind+" "+name]; fails {
		return nil, errors.New("no answer")
	}
	return z[kind+" "+name], nil
}

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) { return z.find("TXT", name) }
func (z zone) LookupCNAME(_ context.Context, name string) ([]string, error) {
	return z.find("CNAME", name)
}

func (z zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	found, err := z.find("MX", name)
	var list []*net.MX
	for _, f := range found {
		list = append(list, &net.MX{Host: f, Pref: 10})
	}
	return list, err
}

func TestCheck(t *testing.T) {
	c := Config{Hostname: "mx.example.net", TrackingHost: "links.example.net", Receivers: []string{"in.example.net"}}
	d := &store.Domain{Name: "example.com", DKIM: []store.DKIMKey{{Selector: "s1", Public: "k=rsa; p=AAAA", Active: true}, {Selector: "s0", Public: "k=rsa; p=BBBB"}}}
	whole := func(change func(zone)) zone {
		z := zone{
			"TXT s1._domainkey.example.com": {"k=rsa; p=AAAA"}, "TXT s0._domainkey.example.com": {"k=rsa; p=BBBB"},
			"TXT example.com": {"v=spf1 a:mx.example.net ~all"}, "CNAME email.example.com": {"Links.Example.Net."}, "MX example.com": {"in.example.net."},
		}
		change(z)
		return z
	}
	for name, test := range map[string]struct {
		zone       zone
		want       string // s1, s0, SPF, CNAME, MX
		sufficient bool
	}{
		"all there":               {whole(func(zone) {}), "valid valid valid valid valid", true},
		"nothing there":           {zone{}, "invalid invalid invalid invalid invalid", false},
		"no links, no MX":         {whole(func(z zone) { delete(z, "CNAME email.example.com"); delete(z, "MX example.com") }), "valid valid valid invalid invalid", true},
		"only the inactive key":   {whole(func(z zone) { delete(z, "TXT s1._domainkey.example.com") }), "invalid valid valid valid valid", false},
		"no permission":           {whole(func(z zone) { z["TXT example.com"] = []string{"v=spf1 -all"} }), "valid valid invalid valid valid", false},
		"links elsewhere":         {whole(func(z zone) { z["CNAME email.example.com"] = []string{"other.example"} }), "valid valid valid invalid valid", true},
		"one could not be looked": {whole(func(z zone) { z["!TXT example.com"] = nil }), "valid valid unknown valid valid", false},
		"another host as well":    {whole(func(z zone) { z["MX example.com"] = []string{"a.example", "in.example.net"} }), "valid valid valid valid valid", true},
	} {
		records := append(c.Sending(d, d), c.Receiving(d)...)
		checks := Check(t.Context(), test.zone, records, time.Unix(1, 0), slog.New(slog.DiscardHandler))
		var got []string
		for _, c := range checks {
			got = append(got, c.Valid)
		}
		if s := strings.Join(got, " "); s != test.want || Sufficient(records, checks) != test.sufficient {
			t.Errorf("%s: %s, sufficient %v", name, s, Sufficient(records, checks))
		}
	}
}

// What is kept of foreign records is bounded.
func TestWhatIsKeptIsBounded(t *testing.T) {
	z := zone{"TXT example.com": nil}
	for range 50 {
		z["TXT example.com"] = append(z["TXT example.com"], strings.Repeat("\xff", 5000))
	}
	d := &store.Domain{Name: "example.com"}
	checks := Check(t.Context(), z, Config{Hostname: "mx"}.Sending(d, d), time.Now(), slog.New(slog.DiscardHandler))
	if len(checks[0].Seen) != maxSeen || len(checks[0].Seen[0]) > 3*maxSeenLength || !utf8.ValidString(checks[0].Seen[0]) {
		t.Errorf("%d records, the first of %d octets", len(checks[0].Seen), len(checks[0].Seen[0]))
	}
}

// A domain under another one's authority is asked for that one's keys, and what was seen of a key
// that is gone does not speak for the one that has its name now.
func TestAuthorityAndMemory(t *testing.T) {
	parent := &store.Domain{Name: "example.com", DKIM: []store.DKIMKey{{Selector: "p", Public: "k=rsa; p=AAAA", Active: true}}}
	d := &store.Domain{Name: "mg.example.com", DKIM: []store.DKIMKey{{Selector: "s", Public: "k=rsa; p=BBBB", Active: true}}}
	records := Config{Hostname: "mx"}.Sending(d, parent)
	if records[0].Name != "p._domainkey.example.com" || records[1].Name != "mg.example.com" || records[2].Name != "email.mg.example.com" {
		t.Errorf("records %+v", records)
	}
	parent.Checks = []store.DNSCheck{{Name: "p._domainkey.example.com", Type: "TXT", Value: "k=rsa; p=OLD", Valid: Valid}}
	if got := Last(parent, records[0]); got.Valid != Unknown {
		t.Errorf("an old key's record speaks for the new one: %+v", got)
	}
	parent.Checks[0].Value = "k=rsa; p=AAAA"
	if got := Last(parent, records[0]); got.Valid != Valid {
		t.Errorf("%+v", got)
	}
}
