package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
)

const zoneText = `
@      MX    10 mx
@      TXT   "v=STSv1; " "id=1\;2"
@      NS    ns
mx     A     192.0.2.1
mx     AAAA  2001:db8::1
_25._tcp.mx TLSA 3 1 1 00112233
mail   CNAME mx
deep.empty A 192.0.2.9
dangling CNAME gone
nodata CNAME ns
ns     A     192.0.2.53
out    CNAME host.insecure.test.
loop1  CNAME loop2
loop2  CNAME loop1
self   CNAME self
hop0   CNAME hop1
hop1   CNAME hop2
hop2   CNAME hop3
hop3   CNAME hop4
hop4   CNAME hop5
hop5   CNAME hop6
hop6   CNAME hop7
hop7   CNAME hop8
hop8   A     192.0.2.8
toofar CNAME hop0
`

func zones() []dnstest.Zone {
	return []dnstest.Zone{
		{Origin: "secure.test", Secure: true, Records: zoneText},
		{Origin: "insecure.test", Records: "host A 192.0.2.77\nback CNAME mx.secure.test.\n"},
	}
}

func TestLookup(t *testing.T) {
	tests := []struct {
		name      string
		typ       dnssec.Type
		state     dnssec.State
		secure    bool
		canonical string // "" is the name asked
		records   string
	}{
		{name: "mx.secure.test", typ: dnssec.A, state: dnssec.Found, secure: true, records: "192.0.2.1"},
		{name: "MX.Secure.Test.", typ: dnssec.A, state: dnssec.Found, secure: true, canonical: "mx.secure.test", records: "192.0.2.1"},
		{name: "mx.secure.test", typ: dnssec.AAAA, state: dnssec.Found, secure: true, records: "2001:db8::1"},
		{name: "secure.test", typ: dnssec.MX, state: dnssec.Found, secure: true, records: "10 mx.secure.test"},
		{name: "secure.test", typ: dnssec.TXT, state: dnssec.Found, secure: true, records: `"v=STSv1; id=1;2"`},
		{name: "secure.test", typ: dnssec.NS, state: dnssec.Found, secure: true, records: "0 ns.secure.test"},
		{name: "_25._tcp.mx.secure.test", typ: dnssec.TLSA, state: dnssec.Found, secure: true, records: "3 1 1 00112233"},
		{name: "mail.secure.test", typ: dnssec.CNAME, state: dnssec.Found, secure: true, records: "0 mx.secure.test"},
		{name: "host.insecure.test", typ: dnssec.A, state: dnssec.Found, records: "192.0.2.77"},

		{name: "mx.secure.test", typ: dnssec.MX, state: dnssec.NoData, secure: true},
		{name: "empty.secure.test", typ: dnssec.A, state: dnssec.NoData, secure: true},
		{name: "gone.secure.test", typ: dnssec.A, state: dnssec.NXDomain, secure: true},
		{name: "gone.insecure.test", typ: dnssec.A, state: dnssec.NXDomain},
		{name: "elsewhere.test", typ: dnssec.A, state: dnssec.Failed},

		{name: "mail.secure.test", typ: dnssec.A, state: dnssec.Found, secure: true, canonical: "mx.secure.test", records: "192.0.2.1"},
		{name: "nodata.secure.test", typ: dnssec.MX, state: dnssec.NoData, secure: true, canonical: "ns.secure.test"},
		{name: "dangling.secure.test", typ: dnssec.A, state: dnssec.NXDomain, secure: true, canonical: "gone.secure.test"},
		// SEC-51: one insecure step makes the chain insecure, whichever it is.
		{name: "out.secure.test", typ: dnssec.A, state: dnssec.Found, canonical: "host.insecure.test", records: "192.0.2.77"},
		{name: "back.insecure.test", typ: dnssec.A, state: dnssec.Found, canonical: "mx.secure.test", records: "192.0.2.1"},
		// SEC-43: eight aliases, not nine.
		{name: "hop0.secure.test", typ: dnssec.A, state: dnssec.Found, secure: true, canonical: "hop8.secure.test", records: "192.0.2.8"},
		{name: "toofar.secure.test", typ: dnssec.A, state: dnssec.Failed},
		{name: "loop1.secure.test", typ: dnssec.A, state: dnssec.Failed},
		{name: "self.secure.test", typ: dnssec.A, state: dnssec.Failed},
	}
	// Each once with whole answers and once with a resolver that returns one alias
	// at a time.
	for _, stepwise := range []bool{false, true} {
		s := dnstest.Start(t, zones()...)
		if stepwise {
			for _, tt := range tests {
				s.SetFault(tt.name, 0, dnstest.Fault{FirstHop: true})
			}
			for i := range 9 {
				s.SetFault(fmt.Sprintf("hop%d.secure.test", i), 0, dnstest.Fault{FirstHop: true})
			}
			s.SetFault("loop2.secure.test", 0, dnstest.Fault{FirstHop: true})
		}
		r := s.Resolver(t)
		for _, tt := range tests {
			for _, from := range []string{"resolver", "memory"} {
				a := r.Lookup(t.Context(), tt.name, tt.typ)
				got := show(a)
				if tt.canonical == "" {
					tt.canonical = tt.name
				}
				if a.State != tt.state || a.Secure != tt.secure || got != tt.records || (a.State != dnssec.Failed && a.Canonical != tt.canonical) {
					t.Errorf("stepwise %t: %s %s from %s: %s secure=%t canonical=%s %q (%v)\nwant %s secure=%t canonical=%s %q",
						stepwise, tt.name, tt.typ, from, a.State, a.Secure, a.Canonical, got, a.Err(), tt.state, tt.secure, tt.canonical, tt.records)
				}
				if (a.Err() != nil) != (tt.state == dnssec.Failed) {
					t.Errorf("%s %s: Err() = %v with state %s", tt.name, tt.typ, a.Err(), a.State)
				}
			}
		}
	}
}

func show(a dnssec.Answer) string {
	var parts []string
	for _, r := range a.Records {
		switch a.Type {
		case dnssec.A, dnssec.AAAA:
			parts = append(parts, r.Addr.String())
		case dnssec.TXT:
			parts = append(parts, fmt.Sprintf("%q", r.Text))
		case dnssec.TLSA:
			parts = append(parts, fmt.Sprintf("%d %d %d %x", r.TLSA.Usage, r.TLSA.Selector, r.TLSA.Matching, r.TLSA.Data))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", r.Preference, r.Host))
		}
	}
	return strings.Join(parts, ", ")
}

// SEC-44: whatever goes wrong is Failed with its reason, at every type; never a
// denial, never secure.
func TestFailures(t *testing.T) {
	tests := []struct {
		name   string
		fault  dnstest.Fault
		reason dnssec.Reason
	}{
		{"SERVFAIL", dnstest.Fault{RCode: 2}, dnssec.ServerFail},
		{"bogus", dnstest.Fault{RCode: 2, EDE: 6, EDEText: "signature expired"}, dnssec.ServerFail},
		{"REFUSED", dnstest.Fault{RCode: 5}, dnssec.Refused},
		{"FORMERR", dnstest.Fault{RCode: 1}, dnssec.OtherRCode},
		{"NOTIMP", dnstest.Fault{RCode: 4}, dnssec.OtherRCode},
		{"silence", dnstest.Fault{Drop: true}, dnssec.Timeout},
		{"too late", dnstest.Fault{Delay: time.Minute}, dnssec.Timeout},
		{"truncated over TCP too", dnstest.Fault{Truncate: true, TruncTCP: true}, dnssec.Truncated},
		{"garbage", dnstest.Fault{Garbage: true}, dnssec.Malformed},
		{"garbage over TCP", dnstest.Fault{Garbage: true, Truncate: true}, dnssec.Malformed},
		{"lame", dnstest.Fault{NoRecurse: true}, dnssec.Lame},
		{"blocked by the resolver", dnstest.Fault{RCode: 3, EDE: 15}, dnssec.Filtered},
		{"forged by the resolver", dnstest.Fault{EDE: 4}, dnssec.Filtered},
		{"stale denial", dnstest.Fault{RCode: 3, EDE: 19}, dnssec.Filtered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := dnstest.Start(t, zones()...)
				s.SetFault("secure.test", 0, tt.fault)
				r := s.Resolver(t)
				for _, typ := range []dnssec.Type{dnssec.MX, dnssec.A, dnssec.AAAA, dnssec.TLSA, dnssec.TXT, dnssec.CNAME, dnssec.NS} {
					start := time.Now()
					a := r.Lookup(t.Context(), "secure.test", typ)
					if a.State != dnssec.Failed || a.Secure || len(a.Records) > 0 {
						t.Fatalf("%s: %s secure=%t %v", typ, a.State, a.Secure, a.Records)
					}
					if a.Failure.Reason != tt.reason {
						t.Errorf("%s: %v, want %s", typ, a.Err(), tt.reason)
					}
					if tt.fault.EDE != 0 && (a.Failure.EDE == nil || a.Failure.EDE.Code != tt.fault.EDE || a.Failure.EDE.Text != tt.fault.EDEText) {
						t.Errorf("%s: extended error %+v, want %d", typ, a.Failure.EDE, tt.fault.EDE)
					}
					if d := time.Since(start); d > 15*time.Second {
						t.Errorf("%s took %s", typ, d)
					}
				}
			})
		})
	}
}

func TestTruncatedAnswerIsFetchedOverTCP(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "@ MX %d a-rather-long-host-name-number-%d\n", i, i)
	}
	s := dnstest.Start(t, dnstest.Zone{Origin: "big.test", Secure: true, Records: b.String()})
	a := s.Resolver(t).Lookup(t.Context(), "big.test", dnssec.MX)
	if a.State != dnssec.Found || len(a.Records) != 100 || !a.Secure {
		t.Errorf("%s with %d records (%v), want 100", a.State, len(a.Records), a.Err())
	}
	if got := s.Queries(); len(got) != 2 || got[0].Network != "udp" || got[1].Network != "tcp" {
		t.Errorf("queries %v, want UDP then TCP", got)
	}
}

// Section 2 of the limits: 100 records, and one more is a failure.
func TestTooManyRecords(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{Origin: "big.test", Records: "$GENERATE 0-100 @ MX 10 mx$\n"})
	a := s.Resolver(t).Lookup(t.Context(), "big.test", dnssec.MX)
	if a.State != dnssec.Failed || a.Failure.Reason != dnssec.TooLarge {
		t.Errorf("%s (%v), want too large", a.State, a.Err())
	}
}

func TestForgedDatagramsArePassedOver(t *testing.T) {
	s := dnstest.Start(t, zones()...)
	s.SetFault("mx.secure.test", dnssec.A, dnstest.Fault{WrongID: true})
	if a := s.Resolver(t).Lookup(t.Context(), "mx.secure.test", dnssec.A); show(a) != "192.0.2.1" {
		t.Errorf("%s %q (%v), want the real answer", a.State, show(a), a.Err())
	}
}

func TestQueryAsksForADWithoutDO(t *testing.T) {
	s := dnstest.Start(t, zones()...)
	s.Resolver(t).Lookup(t.Context(), "mx.secure.test", dnssec.A)
	if q := s.Queries(); len(q) != 1 || !q[0].AD || q[0].DO {
		t.Errorf("queries %+v, want AD and not DO", q)
	}
}

// SEC-46: AD counts from loopback, or when the operator says so.
func TestWhoseADIsBelieved(t *testing.T) {
	tests := []struct {
		servers []string
		trust   bool
		want    bool
	}{
		{[]string{"127.0.0.1"}, false, true},
		{[]string{"127.8.8.8:5353"}, false, true},
		{[]string{"[::1]:53"}, false, true},
		{[]string{"::1"}, false, true},
		{[]string{"192.0.2.53"}, false, false},
		{[]string{"10.0.0.1:53"}, false, false},
		{[]string{"192.0.2.53"}, true, true},
	}
	for _, tt := range tests {
		s := dnstest.Start(t, zones()...)
		r, err := dnssec.New(dnssec.Config{Servers: tt.servers, TrustAD: tt.trust, Dial: s.Dial})
		if err != nil {
			t.Fatal(err)
		}
		if a := r.Lookup(t.Context(), "mx.secure.test", dnssec.A); a.State != dnssec.Found || a.Secure != tt.want {
			t.Errorf("%v trust=%t: %s secure=%t, want %t", tt.servers, tt.trust, a.State, a.Secure, tt.want)
		}
	}
}

func TestServersMustBeAddresses(t *testing.T) {
	for _, s := range []string{"dns.example", "localhost:53", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:x", ":53", "[::1]"} {
		if _, err := dnssec.New(dnssec.Config{Servers: []string{s}}); err == nil {
			t.Errorf("New accepted the server %q", s)
		}
	}
}

// SEC-45: nothing is completed, nothing odd is asked.
func TestOddNamesAreNotAsked(t *testing.T) {
	s := dnstest.Start(t, zones()...)
	r := s.Resolver(t)
	long := strings.Repeat("a", 64)
	for _, name := range []string{"", "..", ".secure.test", "a..test", "secure.test..", long + ".test", strings.Repeat("a.", 127) + "a", "a b.test", "a\x00.test", `a\.b.test`, "ü.test", "a;b.test"} {
		a := r.Lookup(t.Context(), name, dnssec.A)
		if a.State != dnssec.Failed || a.Failure.Reason != dnssec.BadName {
			t.Errorf("Lookup(%q): %s (%v), want a bad name", name, a.State, a.Err())
		}
	}
	if q := s.Queries(); len(q) != 0 {
		t.Errorf("asked %v", q)
	}
	r.Lookup(t.Context(), "mx", dnssec.A)
	if q := s.Queries(); len(q) != 1 || q[0].Name != "mx" {
		t.Errorf("a single label was asked as %v", q)
	}
}

func TestBudget(t *testing.T) {
	s := dnstest.Start(t, zones()...)
	r := s.Resolver(t)
	ctx := dnssec.WithBudget(t.Context(), 2)
	for i, want := range []dnssec.State{dnssec.Found, dnssec.Found, dnssec.NoData, dnssec.Failed} {
		typ := []dnssec.Type{dnssec.A, dnssec.A, dnssec.MX, dnssec.AAAA}[i]
		if a := r.Lookup(ctx, "mx.secure.test", typ); a.State != want {
			t.Errorf("question %d: %s (%v), want %s", i, a.State, a.Err(), want)
		}
	}
	if a := r.Lookup(t.Context(), "mx.secure.test", dnssec.AAAA); a.State != dnssec.Found {
		t.Errorf("without a budget: %s (%v)", a.State, a.Err())
	}
}

// REL-31: a resolver that is not there, and one that is not reached in time.
func TestResolverDown(t *testing.T) {
	s := dnstest.Start(t, zones()...)
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	r, err := dnssec.New(dnssec.Config{Servers: []string{addr.String()}})
	if err != nil {
		t.Fatal(err)
	}
	a := r.Lookup(t.Context(), "mx.secure.test", dnssec.A)
	if a.State != dnssec.Failed || a.Failure.Reason != dnssec.Network || a.Failure.Server != addr.String() {
		t.Errorf("%s (%v), want resolver unreachable", a.State, a.Err())
	}
}

func TestOverRealSockets(t *testing.T) {
	s := dnstest.Start(t, append(zones(), dnstest.Zone{Origin: "big.test", Records: "$GENERATE 0-99 @ MX 10 a-rather-long-host-name-$\n"})...)
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	r, err := dnssec.New(dnssec.Config{Servers: []string{"", addr.String()}})
	if err != nil {
		t.Fatal(err)
	}
	if a := r.Lookup(t.Context(), "mail.secure.test", dnssec.A); show(a) != "192.0.2.1" || !a.Secure {
		t.Errorf("UDP: %s %q secure=%t (%v)", a.State, show(a), a.Secure, a.Err())
	}
	if a := r.Lookup(t.Context(), "big.test", dnssec.MX); len(a.Records) != 100 {
		t.Errorf("TCP: %s with %d records (%v)", a.State, len(a.Records), a.Err())
	}
}

func TestFailureKeepsItsCause(t *testing.T) {
	s := dnstest.Start(t, zones()...)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("shutting down")
	cancel(cause)
	a := s.Resolver(t).Lookup(ctx, "mx.secure.test", dnssec.A)
	if a.State != dnssec.Failed || a.Failure.Reason != dnssec.Canceled || !errors.Is(a.Err(), cause) {
		t.Errorf("%s (%v), want canceled with its cause", a.State, a.Err())
	}
}
