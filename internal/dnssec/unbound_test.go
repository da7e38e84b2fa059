package dnssec_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/realdns"
)

// mailZone is what the zones of a recipient look like.
const mailZone = `
@             MX    10 mx
mx            A     192.0.2.1
_25._tcp.mx   TLSA  3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
_25._tcp.mx   TLSA  2 0 2 00
_465._tcp.mx  CNAME _25._tcp.mx
alias         CNAME mx
leaves        CNAME mx.unsigned.test.
*.wild        A     192.0.2.2
`

// The same questions to a real unbound over zones that a real signer signed: secure is
// what it proved from the root down, and what it found bogus is Failed, with its reason.
func TestLookupThroughUnbound(t *testing.T) {
	broken := func(name string, breaks ...realdns.Break) realdns.Zone {
		return realdns.Zone{Name: name, Signed: true, Records: mailZone, Breaks: breaks}
	}
	tlsa := func(how realdns.Breakage) realdns.Break {
		return realdns.Break{How: how, Name: "_25._tcp.mx", Type: "TLSA"}
	}
	world := realdns.Start(t, realdns.World{Zones: []realdns.Zone{
		{Name: "signed.test", Signed: true, Records: mailZone},
		{Name: "hashed.test", Signed: true, NSEC3: true, Records: mailZone},
		{Name: "optout.test", Signed: true, NSEC3: true, OptOut: true, Records: mailZone},
		{Name: "unsigned.test", Records: mailZone + "back CNAME mx.signed.test.\n"},
		{Name: "island.unsigned.test", Signed: true, Records: mailZone},
		{Name: "below.signed.test", Records: mailZone},
		{Name: "below.hashed.test", Records: mailZone},
		{Name: "below.optout.test", Records: mailZone},
		{Name: "child.signed.test", Signed: true, NSEC3: true, Records: mailZone},

		broken("wrong-tlsa.test", tlsa(realdns.WrongSignature)),
		broken("expired-tlsa.test", tlsa(realdns.Expired)),
		broken("naked-tlsa.test", tlsa(realdns.NoSignature)),
		broken("wrong.test", realdns.Break{How: realdns.WrongSignature}),
		broken("expired.test", realdns.Break{How: realdns.Expired}),
		broken("naked.test", realdns.Break{How: realdns.NoSignature}),
		broken("wrong-ds.test", realdns.Break{How: realdns.WrongDS}),
		broken("no-denial.test", realdns.Break{How: realdns.NoDenial}),
		{Name: "no-denial3.test", Signed: true, NSEC3: true, Records: mailZone, Breaks: []realdns.Break{{How: realdns.NoDenial}}},
		broken("lost.test", realdns.Break{How: realdns.NotServed}),
		{Name: "lost-unsigned.test", Records: mailZone, Breaks: []realdns.Break{{How: realdns.NotServed}}},
		broken("lame.test", realdns.Break{How: realdns.Lame}),
		{Name: "lame-unsigned.test", Records: mailZone, Breaks: []realdns.Break{{How: realdns.Lame}}},
	}})
	r := ask(t, world)

	const (
		found, noData, noName, failed = dnssec.Found, dnssec.NoData, dnssec.NXDomain, dnssec.Failed
		a, mx, tlsaType               = dnssec.A, dnssec.MX, dnssec.TLSA
		records                       = "2 0 2 00, 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
		// bogus is whatever unbound's version says of a chain of trust with more than one reason to fail: RFC
		// 8914 has codes 6 to 12 for it.
		bogus = 0xffff
	)
	tests := []struct {
		name   string
		typ    dnssec.Type
		state  dnssec.State
		secure bool
		end    string // of the aliases; "" is the name asked
		want   string // the records, sorted
		ede    uint16 // of the failure; 0 if it is not a matter of DNSSEC
	}{
		{name: "signed.test", typ: mx, state: found, secure: true, want: "10 mx.signed.test"},
		{name: "mx.signed.test", typ: a, state: found, secure: true, want: "192.0.2.1"},
		{name: "_25._tcp.mx.signed.test", typ: tlsaType, state: found, secure: true, want: records},
		{name: "_25._tcp.mx.hashed.test", typ: tlsaType, state: found, secure: true, want: records},
		{name: "_25._tcp.mx.child.signed.test", typ: tlsaType, state: found, secure: true, want: records},
		{name: "any.wild.signed.test", typ: a, state: found, secure: true, want: "192.0.2.2"},
		{name: "any.wild.hashed.test", typ: a, state: found, secure: true, want: "192.0.2.2"},

		// Absence with proof, by either kind of name.
		{name: "mx.signed.test", typ: tlsaType, state: noData, secure: true},
		{name: "_tcp.mx.signed.test", typ: tlsaType, state: noData, secure: true}, // an empty non-terminal
		{name: "_26._tcp.mx.signed.test", typ: tlsaType, state: noName, secure: true},
		{name: "mx.hashed.test", typ: tlsaType, state: noData, secure: true},
		{name: "_26._tcp.mx.hashed.test", typ: tlsaType, state: noName, secure: true},
		{name: "nobody.test", typ: mx, state: noName, secure: true},
		// RFC 5155 section 6: an opt-out span proves nothing about what may be below it.
		{name: "mx.optout.test", typ: tlsaType, state: noData, secure: true},
		{name: "_26._tcp.mx.optout.test", typ: tlsaType, state: noName},

		// Insecure, because the parent proves that there is no DS.
		{name: "unsigned.test", typ: mx, state: found, want: "10 mx.unsigned.test"},
		{name: "_25._tcp.mx.unsigned.test", typ: tlsaType, state: found, want: records},
		{name: "_26._tcp.mx.unsigned.test", typ: tlsaType, state: noName},
		{name: "mx.unsigned.test", typ: tlsaType, state: noData},
		{name: "_25._tcp.mx.island.unsigned.test", typ: tlsaType, state: found, want: records},
		{name: "mx.below.signed.test", typ: a, state: found, want: "192.0.2.1"},
		{name: "mx.below.hashed.test", typ: a, state: found, want: "192.0.2.1"},
		{name: "mx.below.optout.test", typ: a, state: found, want: "192.0.2.1"},

		// Aliases: as secure as the weakest step (SEC-51).
		{name: "alias.signed.test", typ: a, state: found, secure: true, end: "mx.signed.test", want: "192.0.2.1"},
		{name: "alias.signed.test", typ: tlsaType, state: noData, secure: true, end: "mx.signed.test"},
		{name: "_465._tcp.mx.signed.test", typ: tlsaType, state: found, secure: true, end: "_25._tcp.mx.signed.test", want: records},
		{name: "leaves.signed.test", typ: a, state: found, end: "mx.unsigned.test", want: "192.0.2.1"},
		{name: "leaves.signed.test", typ: tlsaType, state: noData, end: "mx.unsigned.test"},
		{name: "back.unsigned.test", typ: a, state: found, end: "mx.signed.test", want: "192.0.2.1"},

		// One bad set of records fails alone; the rest of the zone stays secure.
		{name: "mx.wrong-tlsa.test", typ: a, state: found, secure: true, want: "192.0.2.1"},
		{name: "_25._tcp.mx.wrong-tlsa.test", typ: tlsaType, state: failed, ede: 6},
		{name: "_465._tcp.mx.wrong-tlsa.test", typ: tlsaType, state: failed, ede: 6},
		{name: "_26._tcp.mx.wrong-tlsa.test", typ: tlsaType, state: noName, secure: true},
		{name: "_25._tcp.mx.expired-tlsa.test", typ: tlsaType, state: failed, ede: 7},
		{name: "_25._tcp.mx.naked-tlsa.test", typ: tlsaType, state: failed, ede: 10},
		// A zone whose keys cannot be trusted fails as a whole.
		{name: "wrong.test", typ: mx, state: failed, ede: bogus},
		{name: "expired.test", typ: mx, state: failed, ede: bogus},
		{name: "naked.test", typ: mx, state: failed, ede: bogus},
		{name: "wrong-ds.test", typ: mx, state: failed, ede: bogus},
		{name: "_25._tcp.mx.wrong-ds.test", typ: tlsaType, state: failed, ede: bogus},
		// An absence without proof is no absence.
		{name: "_25._tcp.mx.no-denial.test", typ: tlsaType, state: found, secure: true, want: records},
		{name: "_26._tcp.mx.no-denial.test", typ: tlsaType, state: failed, ede: 12},
		{name: "mx.no-denial.test", typ: tlsaType, state: failed, ede: 12},
		{name: "_25._tcp.mx.no-denial3.test", typ: tlsaType, state: found, secure: true, want: records},
		{name: "_26._tcp.mx.no-denial3.test", typ: tlsaType, state: failed, ede: 12},
		// Nobody there to answer.
		{name: "lost.test", typ: mx, state: failed},
		{name: "lost-unsigned.test", typ: mx, state: failed},
		{name: "lame.test", typ: mx, state: failed, ede: bogus},
		// unbound 1.17 hands the empty referral on, as an answer with nothing in it: NODATA by RFC 2308 section
		// 2.2, see judgeDenial. It is insecure at least.
		{name: "lame-unsigned.test", typ: mx, state: noData},
	}
	for _, tt := range tests {
		got := r.Lookup(t.Context(), tt.name, tt.typ)
		want := dnssec.Answer{Name: tt.name, Canonical: tt.end}
		if tt.end == "" {
			want.Canonical = tt.name
		}
		records := strings.Split(show(got), ", ")
		slices.Sort(records) // unbound rotates them
		shown := strings.Join(records, ", ")
		if got.State != tt.state || got.Secure != tt.secure || shown != tt.want || (tt.state != failed && got.Canonical != want.Canonical) {
			t.Errorf("%s %s: got %s secure=%t end=%s %q (%v)\nwant %s secure=%t end=%s %q",
				tt.name, tt.typ, got.State, got.Secure, got.Canonical, shown, got.Err(), tt.state, tt.secure, want.Canonical, tt.want)
			continue
		}
		if tt.state != failed {
			continue
		}
		var failure *dnssec.Failure
		if !errors.As(got.Err(), &failure) || failure.Reason != dnssec.ServerFail {
			t.Errorf("%s %s: got %v, want a server failure", tt.name, tt.typ, got.Err())
			continue
		}
		var code uint16
		if failure.EDE != nil {
			code = failure.EDE.Code
		}
		if tt.ede == bogus && (code < 6 || code > 12) || tt.ede != bogus && tt.ede != 0 && code != tt.ede {
			t.Errorf("%s %s: got %v, want extended error %d", tt.name, tt.typ, got.Err(), tt.ede)
		}
	}
}

// The question by which a resolver shows that it validates: one that does not never says so.
func TestRootThroughUnbound(t *testing.T) {
	for _, validates := range []bool{true, false} {
		world := realdns.Start(t, realdns.World{
			Zones:        []realdns.Zone{{Name: "signed.test", Signed: true, Records: mailZone}},
			NoValidation: !validates,
		})
		r := ask(t, world)
		for _, q := range []struct {
			name string
			typ  dnssec.Type
		}{{".", dnssec.NS}, {"signed.test", dnssec.MX}, {"_25._tcp.mx.signed.test", dnssec.TLSA}} {
			a := r.Lookup(t.Context(), q.name, q.typ)
			if a.State != dnssec.Found || a.Secure != validates {
				t.Errorf("%s %s, resolver validates %t: got %s secure=%t (%v)", q.name, q.typ, validates, a.State, a.Secure, a.Err())
			}
		}
	}
}

// An answer that does not fit into a datagram comes by TCP, whole and secure.
func TestTruncatedThroughUnbound(t *testing.T) {
	var long, records strings.Builder
	for i := range 12 {
		s := strings.Repeat(string(rune('a'+i)), 250)
		long.WriteString(s)
		fmt.Fprintf(&records, " %q", s)
	}
	var tlsa strings.Builder
	const many = 40
	for i := range many {
		fmt.Fprintf(&tlsa, "_25._tcp.mx TLSA 3 1 1 %064x\n", i)
	}
	world := realdns.Start(t, realdns.World{Zones: []realdns.Zone{
		{Name: "signed.test", Signed: true, Records: "long TXT" + records.String() + "\n" + tlsa.String()},
	}})
	r := ask(t, world)
	a := r.Lookup(t.Context(), "long.signed.test", dnssec.TXT)
	if a.State != dnssec.Found || !a.Secure || len(a.Records) != 1 || a.Records[0].Text != long.String() {
		t.Errorf("TXT: got %s secure=%t %s (%v)", a.State, a.Secure, show(a), a.Err())
	}
	a = r.Lookup(t.Context(), "_25._tcp.mx.signed.test", dnssec.TLSA)
	if a.State != dnssec.Found || !a.Secure || len(a.Records) != many {
		t.Errorf("TLSA: got %s secure=%t, %d records, want %d (%v)", a.State, a.Secure, len(a.Records), many, a.Err())
	}
}

// A resolver that is gone leaves every question open.
func TestUnboundGone(t *testing.T) {
	world := realdns.Start(t, realdns.World{Zones: []realdns.Zone{{Name: "signed.test", Signed: true, Records: mailZone}}})
	r := ask(t, world)
	world.Stop()
	a := r.Lookup(t.Context(), "_25._tcp.mx.signed.test", dnssec.TLSA)
	var failure *dnssec.Failure
	if a.State != dnssec.Failed || a.Secure || !errors.As(a.Err(), &failure) || failure.Reason != dnssec.Network {
		t.Errorf("got %s secure=%t (%v), want a resolver that cannot be reached", a.State, a.Secure, a.Err())
	}
}

// ask returns our resolver before the world's.
func ask(t *testing.T, world *realdns.Server) *dnssec.Stub {
	t.Helper()
	r, err := dnssec.New(dnssec.Config{Servers: []string{world.Addr()}, Try: 10 * time.Second, Total: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
