package dane_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

var digest = strings.Repeat("ab", 32)

// zones are one signed zone with every kind of host, and one that nobody signed.
func zones() []dnstest.Zone {
	return []dnstest.Zone{
		{Origin: "signed.test", Secure: true, Records: strings.ReplaceAll(`
mx                 A     192.0.2.1
_25._tcp.mx        TLSA  3 1 1 DIGEST
_2525._tcp.mx      TLSA  2 1 1 DIGEST
none               A     192.0.2.1
pkix               A     192.0.2.1
_25._tcp.pkix      TLSA  1 1 1 DIGEST
both               A     192.0.2.1
_25._tcp.both      TLSA  1 1 1 DIGEST
_25._tcp.both      TLSA  3 1 1 DIGEST
ptr                A     192.0.2.1
_25._tcp.ptr       CNAME tlsa.certs
tlsa.certs         TLSA  3 1 1 DIGEST
away               A     192.0.2.1
_25._tcp.away      CNAME tlsa.plain.test.
dangling           A     192.0.2.1
_25._tcp.dangling  CNAME gone
empty              A     192.0.2.1
_25._tcp.empty     TXT   "another type"
to-mx              CNAME mx
to-none            CNAME none
_25._tcp.to-none   TLSA  3 1 1 DIGEST
to-mx-own          CNAME mx
_25._tcp.to-mx-own TLSA  2 1 1 DIGEST
to-away            CNAME away
to-away-own        CNAME away
_25._tcp.to-away-own TLSA 3 1 1 DIGEST
two-steps          CNAME to-mx
out                CNAME mx.plain.test.
_25._tcp.out       TLSA  3 1 1 DIGEST
out-bare           CNAME mx.plain.test.
`, "DIGEST", digest)},
		{Origin: "plain.test", Records: strings.ReplaceAll(`
mx            A     192.0.2.9
_25._tcp.mx   TLSA  3 1 1 DIGEST
tlsa          TLSA  3 1 1 DIGEST
in            CNAME mx.signed.test.
_25._tcp.in   TLSA  3 1 1 DIGEST
`, "DIGEST", digest)},
	}
}

// at looks up a host's addresses as mx does, then its records.
func at(t *testing.T, dns dnssec.Resolver, host string, port int) dane.Result {
	t.Helper()
	a := dns.Lookup(t.Context(), host, dnssec.A)
	if a.State != dnssec.Found {
		t.Fatalf("address of %s: %s (%v)", host, a.State, a.Err())
	}
	return dane.New(dns, port).Lookup(t.Context(), host, dane.Addresses{Secure: a.Secure, Expanded: a.Canonical})
}

func TestLookup(t *testing.T) {
	const (
		notSecure, absent, usable = tlspolicy.TLSANotSecure, tlspolicy.TLSAAbsent, tlspolicy.TLSAUsable
		unusable, failed          = tlspolicy.TLSAUnusable, tlspolicy.TLSAFailed
	)
	servfail := dnstest.Fault{RCode: 2, EDE: 6, EDEText: "signature expired"}
	tests := []struct {
		name   string
		host   string
		faults map[string]dnstest.Fault // for TLSA questions
		state  tlspolicy.TLSA
		base   string
		asked  string // names of the TLSA questions, in order
	}{
		{name: "usable", host: "mx.signed.test", state: usable, base: "mx.signed.test", asked: "_25._tcp.mx.signed.test"},
		{name: "secure denial of the type", host: "empty.signed.test", state: absent, asked: "_25._tcp.empty.signed.test"},
		{name: "secure denial of the name", host: "none.signed.test", state: absent, asked: "_25._tcp.none.signed.test"},
		{name: "only usage 1", host: "pkix.signed.test", state: unusable, base: "pkix.signed.test", asked: "_25._tcp.pkix.signed.test"},
		{name: "usage 1 beside usage 3", host: "both.signed.test", state: usable, base: "both.signed.test", asked: "_25._tcp.both.signed.test"},

		// Section 2.2.2: what nobody signed is not asked for.
		{name: "insecure addresses", host: "mx.plain.test", state: notSecure},
		{name: "insecure alias of a secure host", host: "in.plain.test", state: notSecure},

		// An alias at the records' own name (RFC 7671 section 7).
		{name: "records behind an alias", host: "ptr.signed.test", state: usable, base: "ptr.signed.test", asked: "_25._tcp.ptr.signed.test"},
		{name: "records behind an alias out of the signed zones", host: "away.signed.test", state: notSecure, asked: "_25._tcp.away.signed.test"},
		{name: "records behind an alias to nothing", host: "dangling.signed.test", state: absent, asked: "_25._tcp.dangling.signed.test"},

		// The host is an alias (RFC 7672 section 2.1.3).
		{name: "expanded name has records", host: "to-mx.signed.test", state: usable, base: "mx.signed.test", asked: "_25._tcp.mx.signed.test"},
		{name: "both names have records", host: "to-mx-own.signed.test", state: usable, base: "mx.signed.test", asked: "_25._tcp.mx.signed.test"},
		{name: "only the original name has records", host: "to-none.signed.test", state: usable, base: "to-none.signed.test", asked: "_25._tcp.none.signed.test _25._tcp.to-none.signed.test"},
		{name: "two aliases", host: "two-steps.signed.test", state: usable, base: "mx.signed.test", asked: "_25._tcp.mx.signed.test"},
		{name: "expanded name's records insecure, none at the original", host: "to-away.signed.test", state: notSecure, asked: "_25._tcp.away.signed.test _25._tcp.to-away.signed.test"},
		{name: "expanded name's records insecure, original's secure", host: "to-away-own.signed.test", state: usable, base: "to-away-own.signed.test", asked: "_25._tcp.away.signed.test _25._tcp.to-away-own.signed.test"},
		{name: "alias out of the signed zones, records at the original", host: "out.signed.test", state: usable, base: "out.signed.test", asked: "_25._tcp.out.signed.test"},
		{name: "alias out of the signed zones, no records", host: "out-bare.signed.test", state: absent, asked: "_25._tcp.out-bare.signed.test"},

		// Section 2.1.2: what could not be found out is never absent, and ends the search.
		{name: "bogus", host: "mx.signed.test", faults: map[string]dnstest.Fault{"_25._tcp.mx.signed.test": servfail}, state: failed, asked: "_25._tcp.mx.signed.test"},
		{name: "denial that fails", host: "none.signed.test", faults: map[string]dnstest.Fault{"_25._tcp.none.signed.test": servfail}, state: failed, asked: "_25._tcp.none.signed.test"},
		{name: "refused", host: "mx.signed.test", faults: map[string]dnstest.Fault{"_25._tcp.mx.signed.test": {RCode: 5}}, state: failed, asked: "_25._tcp.mx.signed.test"},
		{name: "lame", host: "mx.signed.test", faults: map[string]dnstest.Fault{"_25._tcp.mx.signed.test": {NoRecurse: true}}, state: failed, asked: "_25._tcp.mx.signed.test"},
		{name: "garbage", host: "mx.signed.test", faults: map[string]dnstest.Fault{"_25._tcp.mx.signed.test": {Garbage: true}}, state: failed, asked: "_25._tcp.mx.signed.test"},
		{name: "filtered by the resolver", host: "mx.signed.test", faults: map[string]dnstest.Fault{"_25._tcp.mx.signed.test": {RCode: 3, EDE: 15}}, state: failed, asked: "_25._tcp.mx.signed.test"},
		{name: "truncated over TCP too", host: "mx.signed.test", faults: map[string]dnstest.Fault{"_25._tcp.mx.signed.test": {Truncate: true, TruncTCP: true}}, state: failed, asked: "_25._tcp.mx.signed.test"},
		{name: "expanded name fails, original would have records", host: "to-mx-own.signed.test", faults: map[string]dnstest.Fault{"_25._tcp.mx.signed.test": servfail}, state: failed, asked: "_25._tcp.mx.signed.test"},
		{name: "expanded name has none, original fails", host: "to-none.signed.test", faults: map[string]dnstest.Fault{"_25._tcp.to-none.signed.test": servfail}, state: failed, asked: "_25._tcp.none.signed.test _25._tcp.to-none.signed.test"},
		{name: "records behind an alias that fails", host: "ptr.signed.test", faults: map[string]dnstest.Fault{"_25._tcp.ptr.signed.test": servfail}, state: failed, asked: "_25._tcp.ptr.signed.test"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := dnstest.Start(t, zones()...)
			for name, f := range tt.faults {
				s.SetFault(name, dnssec.TLSA, f)
			}
			got := at(t, overSockets(t, s), tt.host, 0)
			if got.State != tt.state || got.Base != tt.base {
				t.Errorf("state %d at %q (%v), want %d at %q", got.State, got.Base, got.Err, tt.state, tt.base)
			}
			if found := tt.base != ""; found != (len(got.Records) > 0) || found == (got.ID == dane.ID{}) {
				t.Errorf("records %v, ID %x", got.Records, got.ID)
			}
			var f *dnssec.Failure
			if errors.As(got.Err, &f) != (tt.state == failed) {
				t.Errorf("error %v", got.Err)
			}
			for _, fault := range tt.faults {
				if fault.EDE != 0 && (f == nil || f.EDE == nil || f.EDE.Code != fault.EDE) {
					t.Errorf("the resolver's words are lost: %v", got.Err)
				}
			}
			if asked := tlsaQuestions(s); asked != tt.asked {
				t.Errorf("asked %q, want %q", asked, tt.asked)
			}
		})
	}
}

// overSockets returns a resolver that asks s over UDP and TCP.
func overSockets(t *testing.T, s *dnstest.Server) *dnssec.Stub {
	t.Helper()
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	r, err := dnssec.New(dnssec.Config{Servers: []string{addr.String()}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tlsaQuestions are the names of the questions for TLSA, each once.
func tlsaQuestions(s *dnstest.Server) string {
	var names []string
	seen := map[string]bool{}
	for _, q := range s.Queries() {
		if q.Type == dnssec.TLSA && !seen[q.Name] {
			seen[q.Name] = true
			names = append(names, q.Name)
		}
	}
	return strings.Join(names, " ")
}

func TestPort(t *testing.T) {
	r := dnstest.Start(t, zones()...).Resolver(t)
	got := at(t, r, "mx.signed.test", 2525)
	if got.State != tlspolicy.TLSAUsable || got.Records[0].Usage != 2 {
		t.Errorf("port 2525: %+v", got)
	}
	if got := at(t, r, "mx.signed.test", 26); got.State != tlspolicy.TLSAAbsent {
		t.Errorf("port 26: %+v", got)
	}
}

// A resolver whose AD nobody believes: nothing is secure, nothing is asked.
func TestUntrustedResolver(t *testing.T) {
	s := dnstest.Start(t, zones()...)
	r, err := dnssec.New(dnssec.Config{Servers: []string{"192.0.2.53"}, Dial: s.Dial})
	if err != nil {
		t.Fatal(err)
	}
	if got := at(t, r, "mx.signed.test", 0); got.State != tlspolicy.TLSANotSecure || tlsaQuestions(s) != "" {
		t.Errorf("%+v", got)
	}
}

// The alias' own record decides, and when that cannot be found out, so can nothing.
func TestAliasThatCannotBeFoundOut(t *testing.T) {
	s := dnstest.Start(t, zones()...)
	s.SetFault("out.signed.test", dnssec.CNAME, dnstest.Fault{RCode: 2, EDE: 6})
	got := at(t, s.Resolver(t), "out.signed.test", 0)
	if got.State != tlspolicy.TLSAFailed || got.Err == nil || tlsaQuestions(s) != "" {
		t.Errorf("%+v", got)
	}
}

// A name so long that no record fits in front of it has none; mail for it must not wait
// for an answer that cannot come.
func TestNameTooLongForRecords(t *testing.T) {
	label := strings.Repeat("a", 60)
	host := strings.Join([]string{label, label, label, label[:45], "signed.test"}, ".")
	s := dnstest.Start(t, dnstest.Zone{Origin: "signed.test", Secure: true, Records: "*.signed.test. A 192.0.2.1"})
	if got := at(t, s.Resolver(t), host, 0); got.State != tlspolicy.TLSAAbsent || got.Err != nil {
		t.Errorf("%d octets: %+v", len(host), got)
	}
}

// Silence, and a caller who gives up, end in bounded time and in no fact.
func TestNoAnswerInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, zones()...)
		s.SetFault("_25._tcp.mx.signed.test", 0, dnstest.Fault{Drop: true})
		r := s.Resolver(t)
		start := time.Now()
		got := at(t, r, "mx.signed.test", 0)
		var f *dnssec.Failure
		if got.State != tlspolicy.TLSAFailed || !errors.As(got.Err, &f) || f.Reason != dnssec.Timeout {
			t.Errorf("silence: %+v", got)
		}
		if d := time.Since(start); d > 15*time.Second {
			t.Errorf("took %s", d)
		}
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		got = dane.New(r, 0).Lookup(ctx, "mx.signed.test", dane.Addresses{Secure: true})
		if d := time.Since(start); got.State != tlspolicy.TLSAFailed || d != time.Second {
			t.Errorf("given up: %+v after %s", got, d)
		}
	})
}
