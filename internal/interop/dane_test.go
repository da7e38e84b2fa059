package interop

import (
	"strings"

	"github.com/sealpost/sealpost/internal/realdns"
)

// A daneCase is one recipient domain, <name>.test, with one MX host mx unless its records say
// otherwise, and what we make of it.
type daneCase struct {
	name string
	zone realdns.Zone
	// hosts are the MX hosts where they are others, in the order of their preference as far as they
	// are tried: the last one takes the mail, if one does.
	hosts []string

	// want is what our log says of a message for which any certificate will do, which is as
	// Postfix delivers at its level dane.
	want daneWant
	// strict is the result of a message without flags, where it is another one:
	// a certificate that does not verify is worth no more to it than plaintext.
	strict string
	// differs says where and why Postfix decides otherwise, with the RFC's section. It must, then.
	differs string
}

type daneWant struct {
	state   string // of the TLSA records; untold where it did not come to that
	result  string
	matched string // the record, as daneCase writes records
}

// dane is a case in a signed zone. at names the receiver. A record is "3 1 1 leaf": of the
// receiver's leaf, issuer or root, of another leaf, or with data in hexadecimal.
func dane(name, at string, want daneWant, tlsa ...string) daneCase {
	records := "@ MX 10 mx\nmx A {" + at + "}\n"
	for _, r := range tlsa {
		records += "{tlsa}.mx TLSA [" + r + " of " + at + "]\n"
	}
	return daneCase{name: name, zone: realdns.Zone{Signed: true, Records: records}, want: want}
}

// daneZone is a case in a signed zone with the given records.
func daneZone(name string, want daneWant, records ...string) daneCase {
	return daneCase{name: name, zone: realdns.Zone{Signed: true, Records: strings.Join(records, "\n") + "\n"}, want: want}
}

func (c daneCase) unsigned() daneCase {
	c.zone.Signed = false
	return c
}

func (c daneCase) hashed(optOut bool) daneCase {
	c.zone.NSEC3, c.zone.OptOut = true, optOut
	return c
}

func (c daneCase) broken(how realdns.Breakage, name, typ string) daneCase {
	c.zone.Breaks = append(c.zone.Breaks, realdns.Break{How: how, Name: name, Type: typ})
	return c
}

func (c daneCase) over(hosts ...string) daneCase {
	c.hosts = hosts
	return c
}

// otherwise is the result without flags.
func (c daneCase) otherwise(result string) daneCase {
	c.strict = result
	return c
}

func (c daneCase) differing(why string) daneCase {
	c.differs = why
	return c
}

const (
	notSecure, absent, usable, unusable, failed, untold = "not-secure", "absent", "usable", "unusable", "failed", "untold"
)

func matchEE(record string) daneWant { return daneWant{usable, "verified-dane-ee", record} }
func matchTA(record string) daneWant { return daneWant{usable, "verified-dane-ta", record} }
func mismatch() daneWant             { return daneWant{usable, "refused-dane-mismatch", ""} }
func lookupFails() daneWant          { return daneWant{failed, "refused-tlsa-lookup", ""} }
func unreachable() daneWant          { return daneWant{untold, "", ""} }

// without is what comes of a host for which DANE demands nothing.
func without(state, result string) daneWant { return daneWant{state, result, ""} }

// daneCases is the table. Some of its zones lead to hosts of others.
func daneCases() []daneCase {
	var all []daneCase
	for _, part := range [][]daneCase{casesEE(), casesTA(), casesUnusable(), casesAbsent(), casesBroken(), casesNames(), casesHosts()} {
		all = append(all, part...)
	}
	return all
}

// DANE-EE: the leaf or its key, and nothing else (RFC 7672 section 3.1.1).
func casesEE() []daneCase {
	const leaf, other = "3 1 1 leaf", "3 1 1 other"
	return []daneCase{
		dane("ee", "valid", matchEE(leaf), leaf),
		dane("ee-key-full", "valid", matchEE("3 1 0 leaf"), "3 1 0 leaf"),
		dane("ee-key-sha512", "valid", matchEE("3 1 2 leaf"), "3 1 2 leaf"),
		dane("ee-cert-full", "valid", matchEE("3 0 0 leaf"), "3 0 0 leaf"),
		dane("ee-cert-sha256", "valid", matchEE("3 0 1 leaf"), "3 0 1 leaf"),
		dane("ee-cert-sha512", "valid", matchEE("3 0 2 leaf"), "3 0 2 leaf"),
		dane("ee-expired", "expired", matchEE(leaf), leaf),
		dane("ee-self-signed", "self-signed", matchEE(leaf), leaf),
		dane("ee-wrong-name", "wrong-name", matchEE(leaf), leaf),
		dane("ee-private-ca", "private", matchEE(leaf), leaf),
		dane("ee-other", "valid", mismatch(), other),
		dane("ee-other-sha512", "valid", mismatch(), "3 0 2 other"),
		dane("ee-other-self-signed", "self-signed", mismatch(), other),
		dane("ee-issuer", "valid", mismatch(), "3 1 1 issuer"),
		dane("ee-no-tls", "no-tls", daneWant{usable, "refused-not-offered", ""}, "3 1 1 other"),
		// Several records: one is enough (RFC 6698 section 2.1).
		dane("ee-roll", "valid", matchEE(leaf), other, leaf),
		dane("ee-roll-three", "expired", matchEE("3 0 1 leaf"), other, "3 0 1 other", "3 0 1 leaf"),
		dane("ee-or-ta", "valid", matchTA("2 0 1 issuer"), other, "2 0 1 issuer"),
		dane("ta-or-ee", "expired", matchEE(leaf), "2 0 1 issuer", leaf),
		dane("ee-both-other", "valid", mismatch(), other, "2 1 1 other"),
		// Digest agility (RFC 7671 section 9): the strongest digest alone counts.
		dane("agility", "valid", matchEE("3 1 2 leaf"), other, "3 1 2 leaf"),
		dane("agility-weak", "valid", mismatch(), leaf, "3 1 2 other"),
		dane("agility-selectors", "valid", matchEE("3 0 1 leaf"), "3 0 1 leaf", "3 1 2 other"),
	}
}

// DANE-TA: the record's anchor is the only root; dates, chain and name must be in order
// (RFC 7672 section 3.1.2).
func casesTA() []daneCase {
	const issuer = "2 0 1 issuer"
	return []daneCase{
		dane("ta", "valid", matchTA(issuer), issuer),
		dane("ta-key", "valid", matchTA("2 1 1 issuer"), "2 1 1 issuer"),
		dane("ta-sha512", "valid", matchTA("2 0 2 issuer"), "2 0 2 issuer"),
		dane("ta-full", "valid", matchTA("2 0 0 issuer"), "2 0 0 issuer"),
		dane("ta-private", "private", matchTA(issuer), issuer),
		dane("ta-private-sent-root", "private-root", matchTA("2 1 1 issuer"), "2 1 1 issuer"),
		// RFC 7671 section 5.2.3: a root in full need not be sent; of its digest nothing can be made.
		dane("ta-root-full", "private", matchTA("2 0 0 root"), "2 0 0 root"),
		dane("ta-root-digest", "private", mismatch(), "2 0 1 root"),
		dane("ta-other", "valid", mismatch(), "2 0 1 other"),
		dane("ta-wrong-name", "wrong-name", mismatch(), issuer),
		dane("ta-next-hop", "wrong-name", matchTA(issuer), issuer), // its certificate has the domain's name
		dane("ta-expired", "expired", mismatch(), issuer),
		dane("ta-no-tls", "no-tls", daneWant{usable, "refused-not-offered", ""}, "2 0 1 other"),
		dane("ta-leaf", "valid", mismatch(), "2 0 1 leaf"), // an anchor issues, and the chain leads past this one
		dane("ta-self-signed", "self-signed", matchTA("2 0 1 leaf"), "2 0 1 leaf").
			differing("RFC 6698 section 2.1.1: whatever matches is a trust anchor. OpenSSL takes no leaf for one"),
	}
}

// Records of which none can be used: TLS, with whomever (RFC 7672 section 2.2).
func casesUnusable() []daneCase {
	verified, unverified := without(unusable, "verified-pkix"), without(unusable, "unverified")
	refused := without(unusable, "refused-not-offered")
	return []daneCase{
		dane("pkix-ee", "valid", verified, "1 1 1 leaf"),
		dane("pkix-ee-other", "valid", verified, "1 1 1 other"),
		dane("pkix-ee-expired", "expired", unverified, "1 1 1 leaf"),
		dane("pkix-ta", "self-signed", unverified, "0 0 1 other"),
		dane("pkix-no-tls", "no-tls", refused, "1 1 1 other"),
		dane("usage-unknown", "wrong-name", unverified, "4 1 1 leaf"),
		dane("selector-unknown", "private", unverified, "3 2 1 other"),
		dane("matching-unknown", "self-signed", unverified, "3 1 3 other"),
		dane("digest-short", "self-signed", unverified, "3 1 1 0011"),
		dane("digest-long", "self-signed", unverified, "3 1 1 other+00"),
		dane("full-garbage", "self-signed", unverified, "2 0 0 30820011"),
		// Beside one that can, they do not count.
		dane("mixed", "valid", matchEE("3 1 1 leaf"), "1 1 1 other", "3 1 1 leaf"),
		dane("mixed-other", "valid", mismatch(), "1 1 1 leaf", "3 1 1 other"),
		dane("mixed-short", "valid", matchEE("3 1 1 leaf"), "3 1 2 0011", "3 1 1 leaf"),
	}
}

// No records: DANE has no say where that is proven, and where nobody signs.
func casesAbsent() []daneCase {
	plain, bad := "plaintext-not-offered", "plaintext-verify-failed"
	return []daneCase{
		dane("none", "valid", without(absent, "verified-pkix")),
		dane("none-expired", "expired", without(absent, "unverified")).otherwise(bad),
		dane("none-no-tls", "no-tls", without(absent, plain)),
		dane("none-nsec3", "self-signed", without(absent, "unverified")).hashed(false).otherwise(bad),
		// RFC 5155 section 6: under opt-out nothing is proven, and nothing is bogus.
		dane("none-opt-out", "self-signed", without(notSecure, "unverified")).hashed(true).otherwise(bad),
		dane("unsigned", "valid", without(notSecure, "verified-pkix")).unsigned(),
		dane("unsigned-self-signed", "self-signed", without(notSecure, "unverified")).unsigned().otherwise(bad),
		dane("unsigned-no-tls", "no-tls", without(notSecure, plain)).unsigned(),
		// Records that anybody may have written bind nobody.
		dane("unsigned-other", "valid", without(notSecure, "verified-pkix"), "3 1 1 other").unsigned(),
		dane("unsigned-leaf", "self-signed", without(notSecure, "unverified"), "3 1 1 leaf").unsigned().otherwise(bad),
	}
}

// What could not be found out is no absence: the host is not to be used now (RFC 7672 section 2.1.2).
func casesBroken() []daneCase {
	const leaf = "3 1 1 leaf"
	return []daneCase{
		dane("bogus", "valid", lookupFails(), leaf).broken(realdns.WrongSignature, "", "TLSA"),
		dane("signature-expired", "valid", lookupFails(), leaf).broken(realdns.Expired, "", "TLSA"),
		dane("signature-missing", "valid", lookupFails(), leaf).broken(realdns.NoSignature, "", "TLSA"),
		dane("no-proof", "valid", lookupFails()).broken(realdns.NoDenial, "", ""),
		dane("no-proof-nsec3", "valid", lookupFails()).hashed(false).broken(realdns.NoDenial, "", ""),
		dane("bogus-address", "valid", unreachable(), leaf).broken(realdns.WrongSignature, "mx", "A"),
		dane("bogus-mx", "valid", unreachable(), leaf).broken(realdns.WrongSignature, "@", "MX"),
		dane("wrong-ds", "valid", unreachable(), leaf).broken(realdns.WrongDS, "", ""),
		dane("not-served", "valid", unreachable(), leaf).broken(realdns.NotServed, "", ""),
		dane("lame", "valid", unreachable(), leaf).broken(realdns.Lame, "", ""),
		// Of an unsigned zone unbound hands the lame answer on, with nothing in it, and everybody reads it as
		// RFC 2308 section 2.2 does: there is nothing. We wait for a second one.
		dane("lame-unsigned", "valid", unreachable()).unsigned().broken(realdns.Lame, "", ""),
	}
}

// Whose records count: aliases and unsigned steps (RFC 7672 section 2.2).
func casesNames() []daneCase {
	const leaf, other = "[3 1 1 leaf of valid]", "[3 1 1 other of valid]"
	const at = "{tlsa}.mx TLSA "
	return []daneCase{
		// Section 2.2.1: MX records that nobody signed lead to a host that is signed.
		daneZone("insecure-mx", matchEE("3 1 1 leaf"), "@ MX 10 mx.ee.test.").unsigned().over("mx.ee.test"),
		daneZone("insecure-mx-ta", matchTA("2 0 1 issuer"), "@ MX 10 mx.ta.test.").unsigned().over("mx.ta.test"),
		daneZone("insecure-mx-other", mismatch(), "@ MX 10 mx.ee-other.test.").unsigned().over("mx.ee-other.test"),
		daneZone("insecure-mx-bogus", lookupFails(), "@ MX 10 mx.bogus.test.").unsigned().over("mx.bogus.test"),
		daneZone("insecure-mx-no-tls", daneWant{usable, "refused-not-offered", ""}, "@ MX 10 mx.ee-no-tls.test.").unsigned().over("mx.ee-no-tls.test"),
		daneZone("mx-to-unsigned", without(notSecure, "verified-pkix"), "@ MX 10 mx.unsigned.test.").over("mx.unsigned.test"),
		// Section 2.2.2 and 2.1.3: the end of secure aliases first, then the name in the MX record.
		daneZone("alias", matchEE("3 1 1 leaf"), "@ MX 10 mx", "mx CNAME mx.ee.test.", at+other),
		daneZone("alias-ta", matchTA("2 0 1 issuer"), "@ MX 10 mx", "mx CNAME mx.ta.test."),
		daneZone("alias-own", matchEE("3 1 1 leaf"), "@ MX 10 mx", "mx CNAME mx.none.test.", at+leaf),
		daneZone("alias-own-other", mismatch(), "@ MX 10 mx", "mx CNAME mx.none.test.", at+other),
		daneZone("alias-none", without(absent, "verified-pkix"), "@ MX 10 mx", "mx CNAME mx.none.test."),
		daneZone("alias-bogus", lookupFails(), "@ MX 10 mx", "mx CNAME mx.bogus.test.", at+leaf),
		daneZone("alias-insecure", matchEE("3 1 1 leaf"), "@ MX 10 mx", "mx CNAME mx.unsigned.test.", at+leaf),
		daneZone("alias-insecure-other", mismatch(), "@ MX 10 mx", "mx CNAME mx.unsigned.test.", at+other),
		daneZone("alias-from-unsigned", without(notSecure, "verified-pkix"), "@ MX 10 mx", "mx CNAME mx.ee-other.test.").unsigned(),
		// Aliases of the records themselves.
		daneZone("tlsa-alias", matchEE("3 1 1 leaf"), "@ MX 10 mx", "mx A {valid}", "{tlsa}.mx CNAME {tlsa}.mx.ee.test."),
		daneZone("tlsa-alias-unsigned", without(notSecure, "verified-pkix"), "@ MX 10 mx", "mx A {valid}", "{tlsa}.mx CNAME {tlsa}.mx.unsigned-other.test."),
		daneZone("tlsa-wildcard", matchEE("3 1 1 leaf"), "@ MX 10 mx", "mx A {valid}", "*._tcp.mx TLSA "+leaf),
		// No MX record: the domain is its own host (RFC 5321 section 5.1).
		daneZone("implicit", matchEE("3 1 1 leaf"), "@ A {valid}", "{tlsa} TLSA "+leaf).over("implicit.test"),
		daneZone("implicit-other", mismatch(), "@ A {valid}", "{tlsa} TLSA "+other),
	}
}

// A host that must not be used is passed over for the next (RFC 7672 section 2.1.2).
func casesHosts() []daneCase {
	two := func(name string, want daneWant, first, second string) daneCase {
		first, second = "mx."+first+".test", "mx."+second+".test"
		return daneZone(name, want, "@ MX 10 "+first+".", "@ MX 20 "+second+".").over(first, second)
	}
	return []daneCase{
		two("second-matches", matchEE("3 1 1 leaf"), "ee-other", "ee"),
		two("second-has-none", without(absent, "verified-pkix"), "ta-other", "none"),
		two("second-no-tls", without(absent, "plaintext-not-offered"), "ee-no-tls", "none-no-tls"),
		two("second-after-bogus", matchTA("2 0 1 issuer"), "bogus", "ta"),
		two("second-unusable", without(unusable, "unverified"), "ee-other", "pkix-ee-expired"),
		two("both-fail", lookupFails(), "ee-other", "bogus"),
		two("first-matches", matchEE("3 1 1 leaf"), "ee", "ee-other").over("mx.ee.test"),
	}
}
