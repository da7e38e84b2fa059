package realdns

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A description with a mistake in it must fail the test that wrote it, not pass as a zone without
// the mistake that the test is about.
func TestPlanRefuses(t *testing.T) {
	tests := []struct {
		name string
		zone Zone
		want string
	}{
		{"the root", Zone{Name: "."}, "below the root"},
		{"no name", Zone{}, "below the root"},
		{"twice", Zone{Name: "There.test."}, "twice"},
		{"NSEC3 without signatures", Zone{Name: "a.test", NSEC3: true}, "signed"},
		{"opt-out without NSEC3", Zone{Name: "a.test", Signed: true, OptOut: true}, "NSEC3"},
		{"a break of signatures that are not there", Zone{Name: "a.test", Breaks: []Break{{How: Expired}}}, "not signed"},
		{"no break", Zone{Name: "a.test", Signed: true, Breaks: []Break{{}}}, "not known"},
		{"an unknown type", Zone{Name: "a.test", Signed: true, Breaks: []Break{{How: Expired, Type: "TSLA"}}}, "TSLA"},
		{"half a zone", Zone{Name: "a.test", Signed: true, Breaks: []Break{{How: WrongDS, Name: "mx"}}}, "whole zone"},
		{"records that cannot be read", Zone{Name: "a.test", Records: "mx A 192.0.2"}, "records"},
		{"records of somebody else", Zone{Name: "a.test", Records: "mx.b.test. A 192.0.2.1"}, "not in the zone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := plan([]Zone{{Name: "there.test"}, tt.zone}, netip.MustParseAddr("127.0.0.1"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// Every zone hangs below the closest one above it.
func TestPlanFindsParents(t *testing.T) {
	zones, err := plan([]Zone{{Name: "a.test"}, {Name: "c.b.a.test"}, {Name: "b.test"}, {Name: "a.test.b.test"}}, netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, z := range zones {
		for _, child := range z.children {
			got = append(got, child.name+" in "+z.name)
		}
	}
	want := "c.b.a.test. in a.test., a.test.b.test. in b.test., a.test. in ., b.test. in ."
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
}

// A break changes the signatures it names and nothing else, and must find one.
func TestBreak(t *testing.T) {
	const zone = `$TTL 300
mx A 192.0.2.1
mx RRSIG A 13 3 300 20300101000000 20200101000000 1 a.test. AAAA
mx RRSIG AAAA 13 3 300 20300101000000 20200101000000 1 a.test. AAAA
@ RRSIG A 13 2 300 20300101000000 20200101000000 1 a.test. AAAA
@ NSEC mx.a.test. A RRSIG NSEC
@ RRSIG NSEC 13 2 300 20300101000000 20200101000000 1 a.test. AAAA
`
	old := strings.ReplaceAll(zone, "2030", "2021")
	tests := []struct {
		name                  string
		breaks                Break
		gone, altered, former int // how many signatures
		left                  int // records
	}{
		{"one set", Break{How: WrongSignature, Name: "mx", Type: "A"}, 0, 1, 0, 6},
		{"one name", Break{How: WrongSignature, Name: "MX"}, 0, 2, 0, 6},
		{"the apex", Break{How: Expired, Name: "@"}, 0, 0, 2, 6},
		{"one type", Break{How: NoSignature, Type: "A"}, 2, 0, 0, 4},
		{"everything", Break{How: NoSignature}, 4, 0, 0, 2},
		{"proofs", Break{How: NoDenial}, 1, 0, 0, 4},
		{"nothing", Break{How: NoSignature, Type: "TLSA"}, -1, 0, 0, 0},
		{"something else's business", Break{How: WrongDS}, 0, 0, 0, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rrs, err := parse(zone, "a.test.")
			if err != nil {
				t.Fatal(err)
			}
			expired, err := parse(old, "a.test.")
			if err != nil {
				t.Fatal(err)
			}
			got, err := tt.breaks.apply("a.test.", rrs, expired)
			if tt.gone < 0 {
				if err == nil {
					t.Error("a break that hits nothing was accepted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			altered, former, signatures := 0, 0, 0
			for _, rr := range got {
				sig, ok := rr.(*dns.RRSIG)
				if !ok {
					continue
				}
				signatures++
				if sig.Signature != "AAAA" {
					altered++
				}
				if strings.HasPrefix(dns.TimeToString(sig.Expiration), "2021") {
					former++
				}
			}
			if len(got) != tt.left || 4-signatures != tt.gone || altered != tt.altered || former != tt.former {
				t.Errorf("got %d records, %d signatures gone, %d altered, %d expired; want %d, %d, %d, %d\n%s",
					len(got), 4-signatures, altered, former, tt.left, tt.gone, tt.altered, tt.former, text(got))
			}
		})
	}
}
