package dnssec

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Answers are remembered in a form of their own, a fraction of the size of an [Answer]: the
// name and its length, the type, the flags, the TTL, the canonical name if there was an alias,
// and the records. Strings of an unpacked answer share the packed bytes.

// Bits of the flags.
const (
	packedState   = 0x03 // the State
	packedSecure  = 0x04
	packedAliased = 0x08
)

// pack returns all of an answer but when it was asked and its Failure. The name must be
// clean, and ttl a whole number of seconds.
func pack(a Answer, ttl time.Duration) string {
	flags := byte(a.State) & packedState
	if a.Secure {
		flags |= packedSecure
	}
	if a.Aliased() {
		flags |= packedAliased
	}
	b := make([]byte, 0, 300)
	b = append(b, byte(len(a.Name)))
	b = append(b, a.Name...)
	b = binary.BigEndian.AppendUint16(b, uint16(a.Type))
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(ttl/time.Second))
	if a.Aliased() {
		b = packText(b, a.Canonical)
	}
	b = binary.AppendUvarint(b, uint64(len(a.Records)))
	for _, r := range a.Records {
		b = packRecord(b, a.Type, r)
	}
	return string(b) // cut to size
}

func packText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// packRecord packs the fields that records of the type have.
func packRecord(b []byte, t Type, r Record) []byte {
	switch t {
	case A, AAAA:
		return append(b, r.Addr.AsSlice()...)
	case MX:
		return packText(binary.BigEndian.AppendUint16(b, r.Preference), r.Host)
	case TXT:
		return packText(b, r.Text)
	case TLSA:
		b = append(b, r.TLSA.Usage, r.TLSA.Selector, r.TLSA.Matching)
		b = binary.AppendUvarint(b, uint64(len(r.TLSA.Data)))
		return append(b, r.TLSA.Data...)
	}
	return packText(b, r.Host)
}

// packedName returns the name of a packed answer, packedType its type.
func packedName(p string) string { return p[1 : 1+p[0]] }

func packedType(p string) Type {
	at := 1 + int(p[0])
	return Type(p[at])<<8 | Type(p[at+1])
}

// unpack undoes pack.
func unpack(p string) (Answer, time.Duration) {
	a := Answer{Name: packedName(p), Type: packedType(p)}
	u := unpacker(p[1+len(a.Name)+2:])
	flags := u.next(1)[0]
	a.State, a.Secure, a.Canonical = State(flags&packedState), flags&packedSecure != 0, a.Name
	ttl := time.Duration(u.number()) * time.Second
	if flags&packedAliased != 0 {
		a.Canonical = u.text()
	}
	if n := u.number(); n > 0 {
		a.Records = make([]Record, n)
		for i := range a.Records {
			a.Records[i] = u.record(a.Type)
		}
	}
	return a, ttl
}

// An unpacker is what is left of a packed answer. The bytes are our own: it checks none.
type unpacker string

func (u *unpacker) next(n int) string {
	s := (*u)[:n]
	*u = (*u)[n:]
	return string(s)
}

// number reads an unsigned varint.
func (u *unpacker) number() int {
	n := 0
	for shift := 0; ; shift += 7 {
		c := u.next(1)[0]
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
}

func (u *unpacker) text() string { return u.next(u.number()) }

func (u *unpacker) record(t Type) Record {
	switch t {
	case A:
		return Record{Addr: netip.AddrFrom4([4]byte([]byte(u.next(4))))}
	case AAAA:
		return Record{Addr: netip.AddrFrom16([16]byte([]byte(u.next(16))))}
	case MX:
		p := u.next(2)
		return Record{Preference: uint16(p[0])<<8 | uint16(p[1]), Host: u.text()}
	case TXT:
		return Record{Text: u.text()}
	case TLSA:
		p := u.next(3)
		return Record{TLSA: TLSAData{p[0], p[1], p[2], []byte(u.text())}}
	}
	return Record{Host: u.text()}
}
