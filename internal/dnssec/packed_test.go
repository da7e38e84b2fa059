package dnssec

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What is remembered is what was answered, to the last byte.
func TestPackedAnswerIsTheAnswer(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(limit int) string {
		b := make([]byte, random.IntN(limit+1))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return string(b)
	}
	record := func(typ Type) Record {
		switch typ {
		case A:
			return Record{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(random.Uint32())})}
		case AAAA:
			// IPv4 in IPv6 must not come out as IPv4.
			return Record{Addr: netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 15: byte(random.Uint32())})}
		case MX:
			return Record{Preference: uint16(random.Uint32()), Host: text(300)}
		case TXT:
			return Record{Text: text(1000)}
		case TLSA:
			return Record{TLSA: TLSAData{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), []byte(text(2000))}}
		}
		return Record{Host: text(1000)}
	}
	for i := range 700 {
		typ := []Type{A, NS, CNAME, MX, TXT, AAAA, TLSA}[i%7]
		a := Answer{Name: strings.Repeat("a", random.IntN(254)), Type: typ, State: State(random.IntN(4)), Secure: random.IntN(2) == 1}
		a.Canonical = a.Name
		if random.IntN(3) == 0 {
			a.Canonical = "elsewhere.test"
		}
		for range []int{0, 1, 2, 100}[random.IntN(4)] {
			a.Records = append(a.Records, record(typ))
		}
		ttl := time.Duration(random.IntN(3601)) * time.Second
		if i == 4 {
			a.Records = []Record{{Text: strings.Repeat("x", 65_000)}} // as long as an answer can be
		}
		got, gotTTL := unpack(pack(a, ttl))
		if !reflect.DeepEqual(got, a) || gotTTL != ttl {
			t.Fatalf("got %+v for %s\nwant %+v for %s", got, gotTTL, a, ttl)
		}
	}
}

// A question that was on its way when the memory was cleared belongs to the old terms.
func TestClearedMemoryTakesNothingFromBefore(t *testing.T) {
	c := newCache(1 << 20)
	q := question{"mx.test", A}
	a := Answer{Name: q.name, Type: A, State: NoData, Canonical: q.name, Asked: time.Now()}
	term := c.term()
	c.clear()
	c.put(q, a, time.Minute, term)
	if _, ok := c.get(q, time.Now()); ok {
		t.Error("an answer from before was put in")
	}
	c.put(q, a, time.Minute, c.term())
	if _, ok := c.get(q, time.Now()); !ok {
		t.Error("an answer from after was not")
	}
	c.clear()
	if _, ok := c.get(q, time.Now()); ok || c.bytes != 0 {
		t.Errorf("cleared, and %d bytes are left", c.bytes)
	}
}
