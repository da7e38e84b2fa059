package dane_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

func TestWhichRecordsAreUsable(t *testing.T) {
	c := issue(t, nil, leaf(), nil)
	huge := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16384, 1), E: 65537}
	hugeKey, err := x509.MarshalPKIXPublicKey(huge)
	if err != nil {
		t.Fatal(err)
	}
	bytes := func(n int) []byte { return make([]byte, n) }
	tests := []struct {
		name string
		rec  dnssec.TLSAData
		want dane.Problem
	}{
		{"3 1 1", dnssec.TLSAData{Usage: 3, Selector: 1, Matching: 1, Data: bytes(32)}, dane.Usable},
		{"2 0 2", dnssec.TLSAData{Usage: 2, Selector: 0, Matching: 2, Data: bytes(64)}, dane.Usable},
		{"2 0 0", tlsa(t, "2 0 0", c), dane.Usable},
		{"3 1 0", tlsa(t, "3 1 0", c), dane.Usable},
		{"usage 0", dnssec.TLSAData{Usage: 0, Selector: 1, Matching: 1, Data: bytes(32)}, dane.PKIXUsage},
		{"usage 1", dnssec.TLSAData{Usage: 1, Selector: 1, Matching: 1, Data: bytes(32)}, dane.PKIXUsage},
		{"usage 1, broken besides", dnssec.TLSAData{Usage: 1, Selector: 9, Matching: 9}, dane.PKIXUsage},
		{"usage 4", dnssec.TLSAData{Usage: 4, Selector: 1, Matching: 1, Data: bytes(32)}, dane.UnknownUsage},
		{"usage 255", dnssec.TLSAData{Usage: 255, Selector: 1, Matching: 1, Data: bytes(32)}, dane.UnknownUsage},
		{"selector 2", dnssec.TLSAData{Usage: 3, Selector: 2, Matching: 1, Data: bytes(32)}, dane.UnknownSelector},
		{"matching 3", dnssec.TLSAData{Usage: 3, Selector: 1, Matching: 3, Data: bytes(48)}, dane.UnknownMatching},
		{"SHA-256 too short", dnssec.TLSAData{Usage: 3, Selector: 1, Matching: 1, Data: bytes(31)}, dane.BadDigest},
		{"SHA-256 too long", dnssec.TLSAData{Usage: 3, Selector: 1, Matching: 1, Data: bytes(64)}, dane.BadDigest},
		{"SHA-512 too short", dnssec.TLSAData{Usage: 2, Selector: 1, Matching: 2, Data: bytes(32)}, dane.BadDigest},
		{"digest empty", dnssec.TLSAData{Usage: 3, Selector: 1, Matching: 1}, dane.BadDigest},
		{"certificate empty", dnssec.TLSAData{Usage: 2, Selector: 0, Matching: 0}, dane.BadData},
		{"certificate with a tail", dnssec.TLSAData{Usage: 2, Selector: 0, Matching: 0, Data: append(slices.Clone(c.Raw), 0)}, dane.BadData},
		{"certificate cut", dnssec.TLSAData{Usage: 3, Selector: 0, Matching: 0, Data: c.Raw[:len(c.Raw)-1]}, dane.BadData},
		{"key where a certificate belongs", dnssec.TLSAData{Usage: 3, Selector: 0, Matching: 0, Data: c.RawSubjectPublicKeyInfo}, dane.BadData},
		{"certificate where a key belongs", dnssec.TLSAData{Usage: 2, Selector: 1, Matching: 0, Data: c.Raw}, dane.BadData},
		{"key larger than a handshake takes", dnssec.TLSAData{Usage: 2, Selector: 1, Matching: 0, Data: hugeKey}, dane.BadData},
	}
	for _, tt := range tests {
		r := resultOf(t, tt.rec)
		state := tlspolicy.TLSAUnusable
		if tt.want == dane.Usable {
			state = tlspolicy.TLSAUsable
		}
		if len(r.Records) != 1 || r.Records[0].Problem != tt.want || r.State != state {
			t.Errorf("%s: state %d, %v %s; want %s", tt.name, r.State, r.Records, r.Records[0].Problem, tt.want)
		}
		if got, want := r.Records.Strings(), []string{presentation(tt.rec)}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", tt.name, got, want)
		}
	}
}

// The set is the same however the DNS sorts it, and another when anything differs.
func TestIDOfASet(t *testing.T) {
	a, b := issue(t, nil, leaf(), nil), issue(t, nil, leaf(), nil)
	one, two := tlsa(t, "3 1 1", a), tlsa(t, "2 0 1", b)
	first := resultOf(t, one, two)
	if again := resultOf(t, two, one, two); again.ID != first.ID || len(again.Records) != 2 {
		t.Errorf("another order: %v, want %v", again.Records, first.Records)
	}
	if first.Records[0].Usage != 3 {
		t.Error("DANE-EE is not compared first")
	}
	seen := map[dane.ID]string{{}: "no records", first.ID: "both"}
	for name, set := range map[string][]dnssec.TLSAData{
		"one": {one}, "two": {two}, "another usage": {{Usage: 2, Selector: 1, Matching: 1, Data: one.Data}},
		"one more": {one, two, {Usage: 0}}, "moved byte": {{Usage: 3, Selector: 1, Matching: 1, Data: one.Data[:31]}, {Data: one.Data[31:]}},
	} {
		id := resultOf(t, set...).ID
		if other, ok := seen[id]; ok {
			t.Errorf("%s has the ID of %s", name, other)
		}
		seen[id] = name
	}
}

// Nothing in a record makes judging or matching it panic, and what is called usable is.
func FuzzRecord(f *testing.F) {
	root := issue(f, nil, ca("root"), nil)
	server := issue(f, root, leaf(), nil)
	for _, spec := range []string{"3 1 1", "2 0 0", "2 1 0", "3 0 2"} {
		d := tlsa(f, spec, root)
		f.Add(d.Usage, d.Selector, d.Matching, d.Data)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(2), uint8(1), uint8(0), issue(f, nil, ca("rsa"), rsaKey).RawSubjectPublicKeyInfo)
	f.Add(uint8(0), uint8(0), uint8(0), []byte(nil))
	chain := chainOf(server, root)
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		r := resultOf(t, dnssec.TLSAData{Usage: usage, Selector: selector, Matching: matching, Data: data})
		if len(r.Records) != 1 || (r.State == tlspolicy.TLSAUsable) != (r.Records[0].Problem == dane.Usable) || r.ID == (dane.ID{}) {
			t.Fatalf("%+v", r)
		}
		if r.Records.Usable() == 1 && (usage < 2 || usage > 3 || selector > 1 || matching > 2) {
			t.Fatalf("usable: %v", r.Records)
		}
		if !strings.HasPrefix(r.Records.Strings()[0], strings.TrimSuffix(presentation(dnssec.TLSAData{Usage: usage, Selector: selector, Matching: matching}), " ")) {
			t.Fatalf("shown as %v", r.Records.Strings())
		}
		m := r.Match(chain, nil, time.Now())
		if (m.TLSA == noMatch) != (m.Record == nil) || (m.TLSA == noMatch) != (len(m.Reasons) > 0) {
			t.Fatalf("%+v", m)
		}
	})
}
