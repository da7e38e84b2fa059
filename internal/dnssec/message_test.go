package dnssec

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// response packs a message that answers q.
func response(t testing.TB, q question, rcode int, answer ...string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(q.name+".", uint16(q.typ))
	m.Response, m.RecursionAvailable, m.AuthenticatedData, m.Rcode = true, true, true, rcode
	for _, text := range answer {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// Messages that contradict themselves mean nothing.
func TestReadContradictions(t *testing.T) {
	q := question{"a.test", MX}
	tests := []struct {
		name   string
		rcode  int
		answer []string
	}{
		{"records of a name that does not exist", dns.RcodeNameError, []string{"a.test. 60 IN MX 10 b.test."}},
		{"two aliases", 0, []string{"a.test. 60 IN CNAME b.test.", "a.test. 60 IN CNAME c.test."}},
		{"alias beside records", 0, []string{"a.test. 60 IN CNAME b.test.", "a.test. 60 IN MX 10 c.test."}},
		{"alias for a name nobody can ask for", 0, []string{`a.test. 60 IN CNAME b\.c.test.`}},
		{"alias for the root", 0, []string{`a.test. 60 IN CNAME .`}},
	}
	for _, tt := range tests {
		r := read(response(t, q, tt.rcode, tt.answer...), q, maxAliases, true)
		if r.failure == nil || r.failure.Reason != Malformed {
			t.Errorf("%s: %+v, want malformed", tt.name, r)
		}
	}
}

// SEC-42: an MX record without data must not become one with an empty host name.
func TestReadRecordWithoutData(t *testing.T) {
	for _, typ := range []Type{A, AAAA, MX, NS, CNAME, TXT, TLSA} {
		q := question{"a.test", typ}
		m := new(dns.Msg)
		m.SetQuestion("a.test.", uint16(typ))
		m.Response, m.RecursionAvailable = true, true
		m.Answer = []dns.RR{&dns.RFC3597{Hdr: dns.RR_Header{Name: "a.test.", Rrtype: uint16(typ), Class: dns.ClassINET, Ttl: 60}}}
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if r := read(packet, q, maxAliases, true); r.failure == nil || r.failure.Reason != Malformed {
			t.Errorf("%s: %+v, want malformed", typ, r)
		}
	}
}

// Only the SOA of a zone that the end of the chain is in denies anything there.
func TestReadChainEnd(t *testing.T) {
	q := question{"a.test", MX}
	for soa, more := range map[string]bool{"": true, "test.": true, "other.": false, "b.other.": false, ".": false, "her.": true} {
		m := new(dns.Msg)
		if err := m.Unpack(response(t, q, 0, "a.test. 60 IN CNAME b.other.")); err != nil {
			t.Fatal(err)
		}
		if soa != "" {
			m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: soa, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: "ns.", Mbox: "h.", Minttl: 60}}
		}
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if r := read(packet, q, maxAliases, true); r.failure != nil || r.more != more || r.end != "b.other" {
			t.Errorf("SOA of %q: %+v, want more %t", soa, r, more)
		}
	}
}

// SEC-44: a referral is no denial, even from a server that says it recurses.
func TestReadReferral(t *testing.T) {
	q := question{"a.test", MX}
	m := new(dns.Msg)
	m.SetQuestion("a.test.", uint16(MX))
	m.Response, m.RecursionAvailable = true, true
	m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "ns.test."}}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if r := read(packet, q, maxAliases, true); r.failure == nil || r.failure.Reason != Lame {
		t.Errorf("%+v, want lame", r)
	}
}

// RFC 2308 section 2.2, NODATA of type 3: nothing in it, and no NS records that would make it a
// referral. Section 5: it is not remembered.
func TestReadNothing(t *testing.T) {
	q := question{"a.test", MX}
	if r := read(response(t, q, 0), q, maxAliases, true); r.failure != nil || r.state != NoData || r.ttl != 0 {
		t.Errorf("%+v, want no data for no time", r)
	}
}

func TestReadIgnoresWhatWasNotAsked(t *testing.T) {
	q := question{"a.test", MX}
	r := read(response(t, q, 0,
		"other.test. 60 IN MX 1 evil.test.", "a.test. 60 CH MX 2 evil.test.", "a.test. 60 IN A 192.0.2.1",
		"A.Test. 60 IN MX 10 Mail.Test.", "a.test. 60 IN MX 10 mail.test."), q, maxAliases, true)
	if len(r.records) != 1 || r.records[0].Host != "mail.test" || r.records[0].Preference != 10 {
		t.Errorf("read %+v, want the one record", r.records)
	}
}

func TestAnswersMatchesTheQuestion(t *testing.T) {
	q := question{"a.test", MX}
	good := response(t, q, 0)
	if !answers(good, q, uint16(good[0])<<8|uint16(good[1])) {
		t.Error("a response to the question does not match")
	}
	id := uint16(good[0])<<8 | uint16(good[1])
	for name, packet := range map[string][]byte{
		"other name":         withID(response(t, question{"b.test", MX}, 0), id),
		"other type":         withID(response(t, question{"a.test", A}, 0), id),
		"other id":           withID(response(t, q, 0), id+1),
		"a query":            clearBit(good, 2, 0x80),
		"header only":        good[:12],
		"cut in its name":    good[:15],
		"nothing":            nil,
		"no question at all": append(append([]byte(nil), good[:4]...), make([]byte, 8)...),
	} {
		if answers(packet, q, id) {
			t.Errorf("%s matches", name)
		}
	}
}

func withID(p []byte, id uint16) []byte {
	p = slices.Clone(p)
	p[0], p[1] = byte(id>>8), byte(id)
	return p
}

func clearBit(p []byte, i int, bit byte) []byte {
	p = slices.Clone(p)
	p[i] &^= bit
	return p
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`plain`: "plain", `a\"b\\c`: `a"b\c`, `\009x\255`: "\tx\xff", `\25`: "25", `\`: `\`, `\999`: "999", "": "",
	} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseResolvConf(t *testing.T) {
	tests := []struct{ text, want string }{
		{"nameserver 192.0.2.1\nsearch corp.example\noptions ndots:5\nnameserver\t2001:db8::1 # x\n", "192.0.2.1 2001:db8::1"},
		{"nameserver fe80::1%eth0\n", "fe80::1%eth0"},
		{"nameserver dns.example\nnameserver 192.0.2.1", "192.0.2.1"},
		{"# nameserver 192.0.2.1\n", "127.0.0.1"},
		{"", "127.0.0.1"},
	}
	for _, tt := range tests {
		got, err := parseResolvConf(strings.NewReader(tt.text))
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%q: %v (%v), want %s", tt.text, got, err, tt.want)
		}
	}
	if got, err := systemServers("testdata/no-such-file"); err != nil || len(got) != 1 || got[0] != "127.0.0.1" {
		t.Errorf("no file: %v (%v), want the local resolver", got, err)
	}
}

// Whatever bytes come, reading them ends, keeps its promises and stays bounded.
func FuzzRead(f *testing.F) {
	q := question{"a.test", MX}
	f.Add(response(f, q, 0, "a.test. 60 IN MX 10 mail.test."), uint16(MX))
	f.Add(response(f, q, dns.RcodeNameError, "a.test. 60 IN CNAME b.test."), uint16(MX))
	f.Add(response(f, question{"a.test", TXT}, 0, `a.test. 60 IN TXT "a\"b" "\200"`), uint16(TXT))
	f.Add(response(f, question{"a.test", TLSA}, 0, `a.test. 60 IN TLSA 3 1 1 00ff`), uint16(TLSA))
	f.Add(response(f, question{"a.test", A}, 0, `a.test. 60 IN A 192.0.2.1`), uint16(A))
	f.Add([]byte{}, uint16(A))
	f.Fuzz(func(t *testing.T, packet []byte, typ uint16) {
		q := question{"a.test", Type(typ)}
		if len(packet) < headerSize {
			answers(packet, q, 0)
			return
		}
		answers(packet, q, uint16(packet[0])<<8|uint16(packet[1]))
		r := read(packet, q, maxAliases, true)
		switch {
		case r.failure != nil:
			if r.secure || len(r.records) > 0 {
				t.Errorf("a failure with more to say: %+v", r)
			}
		case r.more && r.hops == 0:
			t.Error("asks for the same name again")
		case !r.more && (r.state == Found) != (len(r.records) > 0), !r.more && r.state == Failed:
			t.Errorf("state %s with %d records", r.state, len(r.records))
		case r.hops > maxAliases || len(r.records) > maxRecords || r.ttl < 0 || r.ttl > maxPositive:
			t.Errorf("out of bounds: %+v", r)
		}
	})
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nsearch a b\n")
	f.Fuzz(func(t *testing.T, text string) {
		servers, err := parseResolvConf(strings.NewReader(text))
		if err == nil && len(servers) == 0 {
			t.Error("no servers")
		}
		for _, s := range servers {
			if _, err := parseServer(s); err != nil {
				t.Error(err)
			}
		}
	})
}
