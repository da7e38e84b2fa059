package dane

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/sealpost/sealpost/internal/dnssec"
)

// MaxRecords is how many usable records of a host are considered. Real hosts have two
// or four; the rest of a hostile set would only cost time.
const MaxRecords = 32

// Records are all TLSA records of a host, each once, in an order that does not depend
// on the order in which the DNS gave them: DANE-EE first, then by their content.
type Records []Record

// Usable returns how many records take part in matching.
func (rs Records) Usable() int {
	n := 0
	for _, r := range rs {
		if r.Problem == Usable {
			n++
		}
	}
	return n
}

// Strings returns the records in presentation form, as RFC 8460 section 4.4 wants them in
// policy-string. Nil for none.
func (rs Records) Strings() []string {
	var list []string
	for _, r := range rs {
		list = append(list, r.String())
	}
	return list
}

// An ID tells sets of records apart: equal IDs are the same records under the same base
// domain. The zero value is that of no records.
type ID [sha256.Size]byte

// id returns the ID of the set under a base domain.
func (rs Records) id(base string) ID {
	h := sha256.New()
	h.Write([]byte(base))
	var head [8]byte
	for _, r := range rs {
		// No base domain holds a zero byte, and each length comes before its data: two
		// sets never run into the same bytes.
		head[1], head[2], head[3] = r.Usage, r.Selector, r.Matching
		binary.BigEndian.PutUint32(head[4:], uint32(len(r.Data)))
		h.Write(head[:])
		h.Write(r.Data)
	}
	return ID(h.Sum(nil))
}

// newRecords judges the records of one answer, each by itself and then as a set.
func newRecords(answer []dnssec.Record) Records {
	rs := make(Records, 0, len(answer))
	for _, r := range answer {
		rs = append(rs, newRecord(r.TLSA))
	}
	slices.SortFunc(rs, compare)
	rs = slices.CompactFunc(rs, func(a, b Record) bool { return compare(a, b) == 0 })
	rs.prefer()
	rs.limit()
	return rs
}

// compare orders records: DANE-EE before DANE-TA, since it is the cheaper to match, then
// by selector, matching type and data.
func compare(a, b Record) int {
	return cmp.Or(
		cmp.Compare(b.Usage, a.Usage),
		cmp.Compare(a.Selector, b.Selector),
		cmp.Compare(a.Matching, b.Matching),
		bytes.Compare(a.Data, b.Data),
	)
}

// prefer keeps, for each usage and selector, the strongest digest that is used there. So
// a digest that has become weak protects as well as the best one beside it. Whole
// certificates and keys are no digests and stay (RFC 7671 section 9). Records that are
// not usable push nobody out: a mistyped SHA-512 must not take its SHA-256 along.
func (rs Records) prefer() {
	var strongest [daneEE + 1][publicKey + 1]uint8
	for _, r := range rs {
		if r.Problem == Usable {
			best := &strongest[r.Usage][r.Selector]
			*best = max(*best, r.Matching) // 2 is SHA-512, 1 SHA-256
		}
	}
	for i, r := range rs {
		if r.Problem == Usable && r.Matching != full && r.Matching < strongest[r.Usage][r.Selector] {
			rs[i].Problem = WeakerDigest
		}
	}
}

// limit leaves the first MaxRecords usable.
func (rs Records) limit() {
	n := 0
	for i, r := range rs {
		if r.Problem != Usable {
			continue
		}
		if n++; n > MaxRecords {
			rs[i].Problem = TooMany
		}
	}
}
