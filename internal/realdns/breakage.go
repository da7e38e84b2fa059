package realdns

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// A Breakage is a kind of mistake in a zone.
type Breakage uint8

const (
	// WrongSignature alters signatures, as an attacker who changes records would be found out
	// (EDE 6, bogus).
	WrongSignature Breakage = iota + 1
	// Expired leaves signatures that have ended some hours ago (EDE 7).
	Expired
	// NoSignature removes signatures (EDE 10).
	NoSignature
	// NoDenial removes all NSEC or NSEC3 records: what exists is secure, and nothing can be
	// proven absent (EDE 12). It concerns the whole zone.
	NoDenial
	// WrongDS makes the parent name another key than the zone has, as after a careless change of
	// keys (EDE 9). It concerns the whole zone.
	WrongDS
	// NotServed makes the zone's name server answer SERVFAIL, as one that has lost the zone does.
	// An unsigned zone can have this too. It concerns the whole zone.
	NotServed
	// Lame makes the name server know nothing of the zone and refer every question back to
	// itself. An unsigned zone can have this too. It concerns the whole zone.
	Lame
)

// String returns the breakage in words.
func (b Breakage) String() string {
	switch b {
	case WrongSignature:
		return "wrong signature"
	case Expired:
		return "expired signature"
	case NoSignature:
		return "no signature"
	case NoDenial:
		return "no proof of absence"
	case WrongDS:
		return "wrong DS"
	case NotServed:
		return "not served"
	case Lame:
		return "lame"
	}
	return fmt.Sprintf("breakage %d", uint8(b))
}

// A Break says what is wrong, and with which records.
type Break struct {
	How Breakage
	// Name is relative to the zone, "@" for its apex; empty means every name.
	Name string
	// Type is the mnemonic of a record type, such as "TLSA"; empty means every type.
	Type string
}

// check refuses what has no meaning.
func (b Break) check(signed bool) error {
	switch b.How {
	case WrongSignature, Expired, NoSignature:
	case NoDenial, WrongDS, NotServed, Lame:
		if b.Name != "" || b.Type != "" {
			return fmt.Errorf("%s concerns the whole zone, not %s %s", b.How, b.Name, b.Type)
		}
	default:
		return fmt.Errorf("%s is not known", b.How)
	}
	if !signed && b.How != NotServed && b.How != Lame {
		return fmt.Errorf("%s: the zone is not signed", b.How)
	}
	if _, ok := dns.StringToType[b.Type]; b.Type != "" && !ok {
		return fmt.Errorf("%s: %q is not a record type", b.How, b.Type)
	}
	return nil
}

// hits reports whether a signature is one that breaks.
func (b Break) hits(origin string, sig *dns.RRSIG) bool {
	if b.Type != "" && dns.StringToType[b.Type] != sig.TypeCovered {
		return false
	}
	switch b.Name {
	case "":
		return true
	case "@":
		return sig.Hdr.Name == origin
	}
	return sig.Hdr.Name == dns.CanonicalName(b.Name+"."+origin)
}

// apply returns the records of a signed zone with the break in them. Those of expired are the
// same with signatures that have ended.
func (b Break) apply(origin string, rrs, expired []dns.RR) ([]dns.RR, error) {
	switch b.How {
	case WrongDS, NotServed, Lame:
		return rrs, nil // happens elsewhere
	}
	old := make(map[covered]*dns.RRSIG)
	for _, rr := range expired {
		if sig, ok := rr.(*dns.RRSIG); ok {
			old[covered{sig.Hdr.Name, sig.TypeCovered}] = sig
		}
	}
	var broken []dns.RR
	hit := false
	for _, rr := range rrs {
		if b.How == NoDenial {
			if proves(rr) {
				hit = true
			} else {
				broken = append(broken, rr)
			}
			continue
		}
		sig, ok := rr.(*dns.RRSIG)
		if !ok || !b.hits(origin, sig) {
			broken = append(broken, rr)
			continue
		}
		hit = true
		switch b.How {
		case WrongSignature:
			if err := spoilSignature(sig); err != nil {
				return nil, err
			}
			broken = append(broken, sig)
		case Expired:
			ended := old[covered{sig.Hdr.Name, sig.TypeCovered}]
			if ended == nil {
				return nil, fmt.Errorf("%s: no old signature of %s %s", b.How, sig.Hdr.Name, dns.Type(sig.TypeCovered))
			}
			broken = append(broken, ended)
		}
	}
	if !hit {
		return nil, fmt.Errorf("%s of %q %q: there is nothing of the kind in the zone", b.How, b.Name, b.Type)
	}
	return broken, nil
}

// covered is a set of records that a signature covers.
type covered struct {
	name string
	typ  uint16
}

// proves reports whether a record takes part in proofs of absence.
func proves(rr dns.RR) bool {
	typ := rr.Header().Rrtype
	if sig, ok := rr.(*dns.RRSIG); ok {
		typ = sig.TypeCovered
	}
	return typ == dns.TypeNSEC || typ == dns.TypeNSEC3 || typ == dns.TypeNSEC3PARAM
}

// spoilSignature changes one bit.
func spoilSignature(sig *dns.RRSIG) error {
	raw, err := base64.StdEncoding.DecodeString(sig.Signature)
	if err != nil || len(raw) == 0 {
		return fmt.Errorf("the signature of %s cannot be read: %w", sig.Hdr.Name, err)
	}
	raw[len(raw)/2] ^= 1
	sig.Signature = base64.StdEncoding.EncodeToString(raw)
	return nil
}

// spoilDS changes one bit of each digest.
func spoilDS(rrs []dns.RR) error {
	for _, rr := range rrs {
		ds, ok := rr.(*dns.DS)
		if !ok {
			return fmt.Errorf("%s is not a DS record", rr)
		}
		raw, err := hex.DecodeString(ds.Digest)
		if err != nil || len(raw) == 0 {
			return errors.New("the digest of a DS record cannot be read")
		}
		raw[0] ^= 1
		ds.Digest = hex.EncodeToString(raw)
	}
	return nil
}
