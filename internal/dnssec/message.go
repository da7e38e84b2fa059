package dnssec

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	headerSize = 12
	// udpSize is what we tell the resolver to fit into a datagram: what passes
	// everywhere without fragments (RFC 9715 section 3).
	udpSize = 1232
)

// newQuery packs a question: recursion desired, AD set to learn whether the answer
// is validated (RFC 6840 section 5.7), EDNS.
func newQuery(q question, id uint16) ([]byte, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name+".", uint16(q.typ))
	m.Id = id
	m.AuthenticatedData = true
	m.SetEdns0(udpSize, false)
	return m.Pack()
}

// answers reports whether packet is a response to the question under that id. It
// looks only at what a truncated message still has.
func answers(packet []byte, q question, id uint16) bool {
	if len(packet) < headerSize || binary.BigEndian.Uint16(packet) != id || packet[2]&0x80 == 0 {
		return false
	}
	switch binary.BigEndian.Uint16(packet[4:]) {
	case 0: // some servers repeat no question when they refuse
		rcode := int(packet[3] & 0xf)
		return rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError
	case 1:
		name, off, err := dns.UnpackDomainName(packet, headerSize)
		return err == nil && len(packet) >= off+4 && foreignName(name) == q.name &&
			binary.BigEndian.Uint16(packet[off:]) == uint16(q.typ) && binary.BigEndian.Uint16(packet[off+2:]) == dns.ClassINET
	}
	return false
}

// isTruncated reports the TC bit of a message that answers.
func isTruncated(packet []byte) bool { return packet[2]&0x02 != 0 }

// A reading is what one response says about the question it answers.
type reading struct {
	failure *Failure // nothing else is set then, save for what Stub adds to it

	state   State // unless more
	records []Record
	end     string // the name at the end of the aliases in the response
	hops    int    // how many they were
	more    bool   // the response ends with an alias: ask for end. hops is positive.
	secure  bool   // validated, and believed
	stale   bool   // the resolver repeats what it once knew (RFC 8767)
	ttl     time.Duration
}

// read judges a complete response that answers q. Not more than hops aliases are
// followed. The AD bit counts only when believed is set.
func read(packet []byte, q question, hops int, believed bool) reading {
	for section := 6; section < headerSize; section += 2 {
		if n := binary.BigEndian.Uint16(packet[section:]); n > maxRecords {
			return fail(TooLarge, fmt.Errorf("%d records", n))
		}
	}
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return fail(Malformed, err)
	}
	ede := extendedError(m)
	r := judge(m, q, hops, ede)
	if r.failure != nil {
		r.failure.RCode, r.failure.EDE = m.Rcode, ede
		return r
	}
	r.secure, r.stale = believed && m.AuthenticatedData, stale(ede)
	return r
}

func fail(reason Reason, err error) reading {
	return reading{failure: &Failure{Reason: reason, Err: err}}
}

// judge decides what a message says. It is where failure, denial and answer part.
func judge(m *dns.Msg, q question, hops int, ede *ExtendedError) reading {
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	case dns.RcodeServerFailure:
		return fail(ServerFail, nil)
	case dns.RcodeRefused:
		return fail(Refused, nil)
	default:
		return fail(OtherRCode, nil)
	}
	if forged(ede) {
		return fail(Filtered, nil)
	}
	r := followAnswer(m.Answer, q, hops)
	if r.failure != nil {
		return r
	}
	if m.Rcode == dns.RcodeNameError {
		if len(r.records) > 0 {
			return fail(Malformed, fmt.Errorf("records of a name that does not exist"))
		}
		r.state = NXDomain
	}
	if r.state == Found {
		return r
	}
	return judgeDenial(m, r, ede)
}

// judgeDenial decides whether a message without the records denies them, leaves the
// end of a chain open, or means nothing.
//
// A message with nothing in it at all denies them: RFC 2308 section 2.2 calls it NODATA of
// type 3, and tells a referral by the NS records that it has in place of a SOA. That is
// how resolvers answer that leave the authority section out, systemd-resolved among them; whoever
// took it for a failure would never find an implicit MX behind those. The price: unbound
// (1.17) hands on the empty answer of a lame server for an unsigned zone, and its domain looks
// like one without MX and addresses. Such an answer is insecure and not remembered, and
// a message is not returned before a second one says the same (SEC-44). It lowers no requirement: in a
// signed zone the validator refuses it.
func judgeDenial(m *dns.Msg, r reading, ede *ExtendedError) reading {
	soa, referral := authority(m.Ns, r.end)
	switch {
	case stale(ede):
		return fail(Filtered, nil)
	case r.state == NoData && r.hops > 0 && soa == nil:
		r.more = true // RFC 2308 section 2.1 would have a SOA here: the resolver stopped early
		return r
	case r.state == NoData && soa == nil && referral:
		return fail(Lame, fmt.Errorf("a referral"))
	case soa == nil && !m.RecursionAvailable && !m.Authoritative:
		return fail(Lame, fmt.Errorf("neither recursive nor authoritative"))
	}
	if soa == nil {
		r.ttl = 0 // RFC 2308 section 5: not to be remembered
	} else {
		r.ttl = min(r.ttl, ttlOf(soa.Hdr.Ttl), ttlOf(soa.Minttl), maxNegative)
	}
	return r
}

// followAnswer walks from the question along the aliases of an answer section. The
// state of the reading is Found or NoData.
func followAnswer(answer []dns.RR, q question, hops int) reading {
	r := reading{state: NoData, end: q.name, ttl: maxPositive}
	for {
		alias := ""
		aliases := 0
		for _, rr := range answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || foreignName(h.Name) != r.end {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok && q.typ != CNAME {
				if target := foreignName(c.Target); aliases == 0 || target != alias {
					alias = target
					aliases++
				}
				r.ttl = min(r.ttl, ttlOf(h.Ttl))
				continue
			}
			if h.Rrtype != uint16(q.typ) {
				continue
			}
			rec, err := record(rr)
			if err != nil {
				return fail(Malformed, err)
			}
			r.ttl = min(r.ttl, ttlOf(h.Ttl))
			if !slices.ContainsFunc(r.records, rec.equal) {
				r.records = append(r.records, rec)
			}
		}
		switch {
		case aliases > 1, aliases == 1 && len(r.records) > 0:
			return fail(Malformed, fmt.Errorf("a CNAME beside other records")) // RFC 2181 section 10.1
		case aliases == 0 && len(r.records) > 0:
			r.state = Found
			return r
		case aliases == 0:
			return r
		}
		if _, ok := cleanName(alias); !ok {
			return fail(Malformed, fmt.Errorf("an alias for %q", alias))
		}
		if r.hops++; r.hops > hops {
			return fail(AliasLoop, nil)
		}
		r.end = alias
	}
}

// authority looks for what the authority section says about name: the SOA of a
// zone that it is in, and whether there are NS records instead.
func authority(ns []dns.RR, name string) (soa *dns.SOA, referral bool) {
	for _, rr := range ns {
		switch rr := rr.(type) {
		case *dns.SOA:
			if soa == nil && rr.Hdr.Class == dns.ClassINET && isBelow(name, foreignName(rr.Hdr.Name)) {
				soa = rr
			}
		case *dns.NS:
			referral = true
		}
	}
	return soa, referral
}

// ttlOf reads a TTL; one with its highest bit set is zero (RFC 2181 section 8).
func ttlOf(seconds uint32) time.Duration {
	if seconds > 1<<31-1 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// extendedError returns the first extended error of a message (RFC 8914).
func extendedError(m *dns.Msg) *ExtendedError {
	opt := m.IsEdns0()
	if opt == nil {
		return nil
	}
	for _, o := range opt.Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok {
			text := strings.ToValidUTF8(e.ExtraText[:min(len(e.ExtraText), 250)], "?")
			return &ExtendedError{Code: e.InfoCode, Text: text}
		}
	}
	return nil
}

// forged reports whether the resolver says that the answer is its own invention or
// is being withheld. That tells us about the resolver, nothing about the name.
func forged(e *ExtendedError) bool {
	if e == nil {
		return false
	}
	switch e.Code {
	case dns.ExtendedErrorCodeForgedAnswer, dns.ExtendedErrorCodeBlocked, dns.ExtendedErrorCodeCensored,
		dns.ExtendedErrorCodeFiltered, dns.ExtendedErrorCodeProhibited:
		return true
	}
	return false
}

// stale reports whether the resolver could not ask and repeats what it once knew.
// A stale answer is better than none; a stale denial denies nothing.
func stale(e *ExtendedError) bool {
	return e != nil && (e.Code == dns.ExtendedErrorCodeStaleAnswer || e.Code == dns.ExtendedErrorCodeStaleNXDOMAINAnswer)
}
