package dane_test

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

const (
	noMatch = tlspolicy.NoMatch
	ee      = tlspolicy.MatchEE
	ta      = tlspolicy.MatchTA
)

// A row is one chain against one set of records.
type row struct {
	name    string
	chain   []*signer
	records []dnssec.TLSAData
	names   []string // besides base
	match   tlspolicy.TLSAMatch
	record  int      // which of records matched
	as      string   // Match.Name, for DANE-TA; "" is base
	reasons []string // when none did
	// differs says why OpenSSL sees it otherwise; empty when both agree.
	differs string
}

// rows are the cases of section 4 of our rules and of RFC 7671 and 7672, with real
// certificates.
func rows(t testing.TB) []row {
	t.Helper()
	root := issue(t, nil, ca("root"), nil)
	inter := issue(t, root, ca("intermediate"), nil)
	second := issue(t, inter, ca("second intermediate"), nil)
	good := issue(t, inter, leaf(), nil)
	deep := issue(t, second, leaf(), nil)
	direct := issue(t, root, leaf(), nil)
	self := issue(t, nil, leaf(), nil)
	selfOther := issue(t, nil, leaf(named("other.test")), nil)
	selfExpired := issue(t, nil, leaf(expired), nil)
	other := issue(t, inter, leaf(named("other.test")), nil)
	old := issue(t, inter, leaf(expired), nil)
	early := issue(t, inter, leaf(notYet), nil)
	oldOther := issue(t, inter, leaf(expired, named("other.test")), nil)
	stranger := issue(t, nil, ca("stranger"), nil)
	strange := issue(t, stranger, leaf(), nil)
	wild := issue(t, inter, leaf(named("*.example.test")), nil)

	oldInter := issue(t, root, ca("old intermediate", expired), nil)
	underOld := issue(t, oldInter, leaf(), nil)
	oldRoot := issue(t, nil, ca("old root", expired), nil)
	underOldRoot := issue(t, oldRoot, leaf(), nil)
	short := issue(t, root, ca("short", func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }), nil)
	belowShort := issue(t, short, ca("below short"), nil)
	tooDeep := issue(t, belowShort, leaf(), nil)
	underShort := issue(t, short, leaf(), nil)
	noSign := issue(t, root, ca("may not sign", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), nil)
	underNoSign := issue(t, noSign, leaf(), nil)
	server := issue(t, inter, leaf(named("server.test")), nil)
	underServer := issue(t, server, leaf(), nil)
	client := issue(t, inter, leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), nil)
	clientCA := issue(t, root, ca("for clients", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), nil)
	underClientCA := issue(t, clientCA, leaf(), nil)
	narrow := issue(t, root, ca("narrow", func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"other.test"}
	}), nil)
	underNarrow := issue(t, narrow, leaf(), nil)
	// The same authority with a new certificate: its key matches, the old certificate does not.
	renewed := issue(t, root, ca("intermediate"), inter.key)
	renewedLeaf := issue(t, inter, leaf(), good.key)

	r := func(spec string, c *signer) dnssec.TLSAData { return tlsa(t, spec, c) }
	set := func(list ...dnssec.TLSAData) []dnssec.TLSAData { return list }
	chain := func(list ...*signer) []*signer { return list }

	var all []row
	add := func(x row) { all = append(all, x) }

	// Every selector and matching type, of the leaf and of each anchor.
	for _, sm := range []string{"0 0", "0 1", "0 2", "1 0", "1 1", "1 2"} {
		add(row{name: "3 " + sm, chain: chain(good, inter), records: set(r("3 "+sm, good)), match: ee})
		add(row{name: "3 " + sm + ", another leaf", chain: chain(direct, root), records: set(r("3 "+sm, good)), reasons: []string{dane.NoMatch}})
		add(row{name: "3 " + sm + " of the issuer", chain: chain(good, inter), records: set(r("3 "+sm, inter)), reasons: []string{dane.NoMatch}})
		add(row{name: "2 " + sm + " of the root", chain: chain(good, inter, root), records: set(r("2 "+sm, root)), match: ta})
		add(row{name: "2 " + sm + " of an intermediate", chain: chain(good, inter), records: set(r("2 "+sm, inter)), match: ta})
		add(row{name: "2 " + sm + " of the higher intermediate", chain: chain(deep, second, inter), records: set(r("2 "+sm, inter)), match: ta})
		add(row{name: "2 " + sm + " of a stranger", chain: chain(good, inter, root), records: set(r("2 "+sm, stranger)), reasons: []string{dane.NoMatch}})
		add(row{name: "2 " + sm + " of the leaf", chain: chain(good, inter), records: set(r("2 "+sm, good)), reasons: []string{dane.NoMatch}})
		itself := "takes no server's certificate as the anchor of itself, unless the record holds the whole key"
		if sm == "1 0" {
			itself = ""
		}
		add(row{name: "2 " + sm + ", self-signed", chain: chain(self), records: set(r("2 "+sm, self)), match: ta, differs: itself})
		add(row{name: "2 " + sm + ", self-signed for another name", chain: chain(selfOther), records: set(r("2 "+sm, selfOther)), reasons: []string{dane.NameMismatch}})
		add(row{name: "2 " + sm + ", self-signed and expired", chain: chain(selfExpired), records: set(r("2 "+sm, selfExpired)), reasons: []string{dane.Expired}})
		add(row{name: "2 " + sm + ", expired", chain: chain(old, inter), records: set(r("2 "+sm, inter)), reasons: []string{dane.Expired}})
		add(row{name: "3 " + sm + ", expired", chain: chain(old, inter), records: set(r("3 "+sm, old)), match: ee})
	}

	// DANE-EE looks at the leaf, and at nothing else (RFC 7672 section 3.1.1).
	for _, x := range []struct {
		name  string
		chain []*signer
	}{
		{"not yet valid", chain(early, inter)}, {"wrong name", chain(other, inter)}, {"expired and wrong name", chain(oldOther, inter)},
		{"self-signed", chain(self)}, {"self-signed, expired", chain(selfExpired)}, {"incomplete chain", chain(good)},
		{"not for servers", chain(client, inter)}, {"wrong chain", chain(good, stranger)},
	} {
		add(row{name: "EE: " + x.name, chain: x.chain, records: set(r("3 1 1", x.chain[0])), match: ee})
	}
	add(row{name: "EE: key kept, certificate renewed", chain: chain(renewedLeaf, inter), records: set(r("3 1 1", good)), match: ee})
	add(row{name: "EE: certificate renewed", chain: chain(renewedLeaf, inter), records: set(r("3 0 1", good)), reasons: []string{dane.NoMatch}})
	add(row{name: "EE: rollover, next key published", chain: chain(good, inter), records: set(r("3 1 1", direct), r("3 1 1", good)), match: ee, record: 1})

	// DANE-TA: dates, names and chain (RFC 7672 section 3.1.2).
	add(row{name: "TA: not yet valid", chain: chain(early, inter), records: set(r("2 1 1", inter)), reasons: []string{dane.NotYetValid}})
	add(row{name: "TA: wrong name", chain: chain(other, inter), records: set(r("2 1 1", inter)), reasons: []string{dane.NameMismatch}})
	add(row{name: "TA: every problem is named", chain: chain(oldOther, inter), records: set(r("2 1 1", inter)), reasons: []string{dane.Expired, dane.NameMismatch}})
	add(row{name: "TA: wildcard", chain: chain(wild, inter), records: set(r("2 1 1", inter)), match: ta})
	add(row{name: "TA: intermediate missing", chain: chain(deep, inter), records: set(r("2 1 1", inter)), reasons: []string{dane.UnknownCA}})
	add(row{name: "TA: anchor missing", chain: chain(deep, second), records: set(r("2 1 1", inter)), reasons: []string{dane.NoMatch}})
	add(row{name: "TA: only the leaf", chain: chain(good), records: set(r("2 1 1", inter)), reasons: []string{dane.NoMatch}})
	add(row{name: "TA: order of the chain", chain: chain(deep, inter, second), records: set(r("2 1 1", inter)), match: ta})
	add(row{name: "TA: a stranger's leaf beside our anchor", chain: chain(strange, stranger, inter), records: set(r("2 1 1", inter)), reasons: []string{dane.UnknownCA}})
	add(row{name: "TA: anchor expired", chain: chain(underOld, oldInter), records: set(r("2 1 1", oldInter)), reasons: []string{dane.Expired},
		differs: "looks at the dates of an anchor only if that is self-signed"})
	add(row{name: "TA: root expired", chain: chain(underOldRoot, oldRoot), records: set(r("2 1 1", oldRoot)), reasons: []string{dane.Expired}})
	add(row{name: "TA: intermediate expired", chain: chain(underOld, oldInter, root), records: set(r("2 1 1", root)), reasons: []string{dane.Expired}})
	add(row{name: "TA: path length of the anchor kept", chain: chain(underShort, short), records: set(r("2 1 1", short)), match: ta})
	add(row{name: "TA: path length of the anchor broken", chain: chain(tooDeep, belowShort, short), records: set(r("2 1 1", short)), reasons: []string{dane.InvalidChain}})
	add(row{name: "TA: path length above the anchor does not count", chain: chain(tooDeep, belowShort, short), records: set(r("2 1 1", belowShort)), match: ta})
	add(row{name: "TA: anchor may not sign", chain: chain(underNoSign, noSign), records: set(r("2 1 1", noSign)), reasons: []string{dane.UnknownCA}})
	add(row{name: "TA: anchor is a server's certificate", chain: chain(underServer, server, inter), records: set(r("2 1 1", server)), reasons: []string{dane.UnknownCA}})
	add(row{name: "TA: a server's certificate on the way", chain: chain(underServer, server, inter), records: set(r("2 1 1", inter)), reasons: []string{dane.UnknownCA}})
	add(row{name: "TA: leaf not for servers", chain: chain(client, inter), records: set(r("2 1 1", inter)), reasons: []string{dane.KeyUsage}})
	add(row{name: "TA: anchor not for servers", chain: chain(underClientCA, clientCA), records: set(r("2 1 1", clientCA)), reasons: []string{dane.KeyUsage}})
	add(row{name: "TA: anchor constrained to other names", chain: chain(underNarrow, narrow), records: set(r("2 1 1", narrow)), reasons: []string{dane.InvalidChain}})
	add(row{name: "TA: anchor renewed, key kept", chain: chain(good, renewed), records: set(r("2 1 1", inter)), match: ta})
	add(row{name: "TA: anchor renewed, certificate published", chain: chain(good, renewed), records: set(r("2 0 1", inter)), reasons: []string{dane.NoMatch}})

	// An anchor given in full need not be sent (RFC 7671 section 5.2.3).
	add(row{name: "2 0 0, anchor not sent", chain: chain(good), records: set(r("2 0 0", inter)), match: ta})
	add(row{name: "2 0 0, root not sent", chain: chain(good, inter), records: set(r("2 0 0", root)), match: ta})
	add(row{name: "2 0 0, intermediate missing", chain: chain(good), records: set(r("2 0 0", root)), reasons: []string{dane.NoMatch}})
	add(row{name: "2 0 0, anchor not sent, expired leaf", chain: chain(old), records: set(r("2 0 0", inter)), reasons: []string{dane.Expired}})
	add(row{name: "2 1 0, anchor not sent", chain: chain(good), records: set(r("2 1 0", inter)), match: ta})
	add(row{name: "2 1 0, root not sent", chain: chain(good, inter), records: set(r("2 1 0", root)), match: ta})
	add(row{name: "2 1 0, anchor not sent, wrong name", chain: chain(other), records: set(r("2 1 0", inter)), reasons: []string{dane.NameMismatch}})
	add(row{name: "2 1 0, anchor not sent, expired", chain: chain(old), records: set(r("2 1 0", inter)), reasons: []string{dane.Expired}})
	add(row{name: "2 1 0, anchor not sent, not for servers", chain: chain(client), records: set(r("2 1 0", inter)), reasons: []string{dane.KeyUsage}})
	add(row{name: "2 1 0, it signed something beside the chain", chain: chain(strange, second), records: set(r("2 1 0", inter)), reasons: []string{dane.UnknownCA}})
	add(row{name: "2 1 0, what it signed is a server's certificate", chain: chain(underServer, server), records: set(r("2 1 0", inter)), reasons: []string{dane.UnknownCA}})

	// The names that are accepted (RFC 7672 section 3.2.2).
	add(row{name: "next-hop domain", chain: chain(issue(t, inter, leaf(named(nextHop)), nil), inter), records: set(r("2 1 1", inter)), names: []string{nextHop}, match: ta, as: nextHop})
	add(row{name: "expanded next-hop domain", chain: chain(issue(t, inter, leaf(named("real.test")), nil), inter), records: set(r("2 1 1", inter)), names: []string{nextHop, "real.test"}, match: ta, as: "real.test"})
	add(row{name: "next-hop domain not accepted here", chain: chain(issue(t, inter, leaf(named(nextHop)), nil), inter), records: set(r("2 1 1", inter)), names: []string{""}, reasons: []string{dane.NameMismatch}})
	add(row{name: "common name is no name", chain: chain(issue(t, inter, leaf(named(), func(c *x509.Certificate) { c.Subject.CommonName = base }), nil), inter), records: set(r("2 1 1", inter)), reasons: []string{dane.NameMismatch},
		differs: "takes the subject's common name where there is no subjectAltName"})

	// Several records: one is enough, whichever (RFC 6698 section 2.1).
	add(row{name: "EE matches, TA does not", chain: chain(old, inter), records: set(r("2 1 1", stranger), r("3 1 1", old)), match: ee, record: 1})
	add(row{name: "TA matches, EE does not", chain: chain(good, inter), records: set(r("3 1 1", direct), r("2 1 1", inter)), match: ta, record: 1})
	add(row{name: "EE matches, TA would not verify", chain: chain(oldOther, inter), records: set(r("2 1 1", inter), r("3 1 1", oldOther)), match: ee, record: 1})
	add(row{name: "unusable beside usable", chain: chain(good, inter), records: set(r("1 1 1", good), r("3 1 1", good)), match: ee, record: 1})
	add(row{name: "only the unusable would match", chain: chain(good, inter), records: set(r("1 1 1", good), r("0 1 1", inter), r("3 1 1", direct)), reasons: []string{dane.NoMatch}})

	// Digest agility (RFC 7671 section 9).
	add(row{name: "both digests", chain: chain(good, inter), records: set(r("3 1 1", good), r("3 1 2", good)), match: ee, record: 1})
	add(row{name: "weaker matches, stronger does not", chain: chain(good, inter), records: set(r("3 1 1", good), r("3 1 2", direct)), reasons: []string{dane.NoMatch}})
	add(row{name: "stronger matches, weaker does not", chain: chain(good, inter), records: set(r("3 1 1", direct), r("3 1 2", good)), match: ee, record: 1})
	add(row{name: "agility is per selector", chain: chain(good, inter), records: set(r("3 1 1", good), r("3 0 2", direct)), match: ee})
	add(row{name: "agility is per usage", chain: chain(good, inter), records: set(r("3 1 1", good), r("2 1 2", stranger)), match: ee})
	add(row{name: "a whole certificate is no weak digest", chain: chain(good, inter), records: set(r("3 0 0", good), r("3 0 2", direct)), match: ee})
	add(row{name: "a whole certificate weakens no digest", chain: chain(good, inter), records: set(r("3 0 1", good), r("3 0 0", direct)), match: ee})
	add(row{name: "agility among anchors", chain: chain(good, inter), records: set(r("2 1 1", inter), r("2 1 2", stranger)), reasons: []string{dane.NoMatch}})
	cut := r("3 1 2", direct)
	cut.Data = cut.Data[:63]
	add(row{name: "an unusable digest is not stronger", chain: chain(good, inter), records: set(r("3 1 1", good), cut), match: ee})
	return all
}

func TestMatch(t *testing.T) {
	for _, tt := range rows(t) {
		t.Run(tt.name, func(t *testing.T) {
			if tt.match != noMatch && tt.reasons != nil {
				t.Fatal("the row contradicts itself")
			}
			got := usable(t, tt.records...).Match(chainOf(tt.chain...), tt.names, time.Now())
			if got.TLSA != tt.match || !slices.Equal(got.Reasons, tt.reasons) {
				t.Fatalf("got %+v, want %v %v", got, tt.match, tt.reasons)
			}
			switch {
			case tt.match == noMatch:
				if got.Record != nil || got.Name != "" || !got.Until.IsZero() {
					t.Errorf("facts of a match that is none: %+v", got)
				}
				return
			case got.Record == nil || got.Record.String() != presentation(tt.records[tt.record]):
				t.Errorf("matched %v, want %s", got.Record, presentation(tt.records[tt.record]))
			}
			if tt.match == ee {
				if got.Name != "" || !got.Until.IsZero() {
					t.Errorf("DANE-EE looked at a name or a date: %+v", got)
				}
				return
			}
			if tt.as == "" {
				tt.as = base
			}
			if got.Name != tt.as || !got.Until.After(time.Now()) {
				t.Errorf("accepted as %q until %s, want %q", got.Name, got.Until, tt.as)
			}
		})
	}
}

// Nothing to match with is no match, and no panic.
func TestMatchOfNothing(t *testing.T) {
	c := issue(t, nil, leaf(), nil)
	if got := (dane.Result{}).Match(chainOf(c), nil, time.Now()); got.TLSA != noMatch || !slices.Equal(got.Reasons, []string{dane.NoMatch}) {
		t.Errorf("without records: %+v", got)
	}
	if got := usable(t, tlsa(t, "3 1 1", c)).Match(nil, nil, time.Now()); got.TLSA != noMatch || !slices.Equal(got.Reasons, []string{dane.NoCertificate}) {
		t.Errorf("without a chain: %+v", got)
	}
}

// A match through an anchor lasts as long as the certificate that ends first.
func TestUntil(t *testing.T) {
	end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	root := issue(t, nil, ca("root", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), end }), nil)
	server := issue(t, root, leaf(), nil)
	r := usable(t, tlsa(t, "2 0 1", root))
	if got := r.Match(chainOf(server, root), nil, time.Now()); !got.Until.Equal(end) {
		t.Errorf("until %s, want %s", got.Until, end)
	}
	if got := r.Match(chainOf(server, root), nil, end.Add(time.Second)); got.TLSA != noMatch || !slices.Equal(got.Reasons, []string{dane.Expired}) {
		t.Errorf("afterwards %+v", got)
	}
}

// SEC-35, SEC-51: what a hostile server and a hostile zone can make us do is bounded.
func TestHostileChainAndRecords(t *testing.T) {
	root := issue(t, nil, ca("loop"), nil)
	var long []*signer
	parent := root
	for range 40 { // each a possible issuer of each other
		parent = issue(t, parent, ca("loop"), nil)
		long = append(long, parent)
	}
	server := issue(t, parent, leaf(), nil)
	slices.Reverse(long)
	chain := chainOf(append([]*signer{server}, long...)...)

	var records []dnssec.TLSAData
	for range 60 {
		records = append(records, tlsa(t, "2 1 0", &signer{Certificate: issue(t, nil, ca("x"), nil).Certificate}))
	}
	r := usable(t, records...)
	if n := r.Records.Usable(); n != dane.MaxRecords {
		t.Errorf("%d records are considered", n)
	}
	start := time.Now()
	if got := r.Match(chain, nil, time.Now()); got.TLSA != noMatch {
		t.Errorf("%+v", got)
	}
	if got := usable(t, tlsa(t, "2 1 1", root)).Match(append(chain, root.Certificate), nil, time.Now()); got.TLSA != noMatch {
		t.Errorf("an anchor beyond the tenth certificate: %+v", got)
	}
	if got := usable(t, tlsa(t, "2 1 1", long[8])).Match(chain, nil, time.Now()); got.TLSA != ta {
		t.Errorf("the anchor as tenth certificate: %+v", got)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("took %s", d)
	}
}

// The whole certificate and its key are told apart for one digest, and a certificate
// beyond MaxChain is not looked at.
func TestPartsAndLimitOfAChain(t *testing.T) {
	root := issue(t, nil, ca("root"), nil)
	good := issue(t, root, leaf(), nil)
	other := issue(t, root, leaf(named("other.test")), nil)
	records := usable(t, tlsa(t, "3 0 1", other), tlsa(t, "3 1 1", good))
	if m := records.Match(chainOf(good), nil, time.Now()); m.TLSA != ee || m.Record.Selector != 1 {
		t.Errorf("%+v", m)
	}
	long := []*signer{good}
	for len(long) < dane.MaxChain {
		long = append(long, other)
	}
	anchor := usable(t, tlsa(t, "2 0 1", root))
	if m := anchor.Match(chainOf(append(long[:dane.MaxChain-1:dane.MaxChain-1], root)...), nil, time.Now()); m.TLSA != ta {
		t.Errorf("anchor in the last place: %+v", m)
	}
	if m := anchor.Match(chainOf(append(long, root)...), nil, time.Now()); m.TLSA != noMatch {
		t.Errorf("anchor beyond the last place: %+v", m)
	}
}
