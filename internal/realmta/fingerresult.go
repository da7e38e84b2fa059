package realmta

import (
	"fmt"
	"regexp"
	"strings"
)

// A FingerResult is what posttls-finger found.
type FingerResult struct {
	// TLSA is what came of the TLSA lookup, and so what DANE demands.
	TLSA FingerTLSA
	// Records are the secure TLSA records that it considered, such as "3 1 1 00AB…", in upper case, long
	// data with "..." in the middle. Some of them may be unusable.
	Records []string
	// Matched is the record that the certificate matched, such as "3 1 1 00AB…"; empty if none did.
	Matched string
	// InsecureMX: the MX records of the domain came without DNSSEC, so a match says Trusted at most
	// (RFC 7672 section 2.2.1).
	InsecureMX bool

	// Connected: a host was reached and greeted.
	Connected bool
	// STARTTLS: the host offered it.
	STARTTLS bool
	// Trust is how far the peer is authenticated; NoTLS if there was no handshake or it failed.
	Trust FingerTrust
	// Protocol is the version of TLS, such as "TLSv1.3"; empty with NoTLS.
	Protocol string

	// Failure is why there was no session, in the program's words: a lookup, a connection,
	// a handshake. Empty if there was a session, with or without TLS.
	Failure string
	// Output is all it said.
	Output string
}

// FingerTLSA is what came of the TLSA lookup. The zero value is that it was not told.
type FingerTLSA uint8

const (
	// TLSAUntold: the probe ended before, or its words are not known here.
	TLSAUntold FingerTLSA = iota
	// TLSANone: no records that are secure; DANE demands nothing.
	TLSANone
	// TLSAUnusable: secure records and none that can be used; DANE demands TLS, and
	// no authentication (RFC 7672 section 2.2).
	TLSAUnusable
	// TLSAUsable: DANE demands TLS and a match.
	TLSAUsable
	// TLSAFailed: it could not be found out whether there are any; mail must wait.
	TLSAFailed
)

// String returns the result in words.
func (r FingerTLSA) String() string {
	switch r {
	case TLSAUntold:
		return "untold"
	case TLSANone:
		return "none"
	case TLSAUnusable:
		return "unusable"
	case TLSAUsable:
		return "usable"
	case TLSAFailed:
		return "failed"
	}
	return fmt.Sprintf("TLSA result %d", uint8(r))
}

// FingerTrust is how far Postfix trusts a peer, in its own words.
type FingerTrust uint8

const (
	NoTLS     FingerTrust = iota
	Anonymous             // no certificate
	Untrusted             // a certificate that leads nowhere, or matches no TLSA record
	Trusted               // a certificate that leads to a root or matches, for a name that is not certain
	Verified              // by DANE, or where DANE does not apply by a root and a matching name
)

// String returns the word.
func (r FingerTrust) String() string {
	switch r {
	case NoTLS:
		return "no TLS"
	case Anonymous:
		return "Anonymous"
	case Untrusted:
		return "Untrusted"
	case Trusted:
		return "Trusted"
	case Verified:
		return "Verified"
	}
	return fmt.Sprintf("trust %d", uint8(r))
}

// Delivers reports whether a Postfix with smtp_tls_security_level = dane would have sent a message to this
// host: where DANE demands nothing even in the clear, else on TLS alone or on a match.
func (r FingerResult) Delivers() bool {
	switch r.TLSA {
	case TLSANone:
		return r.Connected
	case TLSAUnusable:
		return r.Trust != NoTLS
	case TLSAUsable:
		return r.Trust != NoTLS && r.Matched != ""
	}
	return false
}

// String sums it up in one line.
func (r FingerResult) String() string {
	s := fmt.Sprintf("TLSA %s, %s", r.TLSA, r.Trust)
	if r.Matched != "" {
		s += ", matches " + r.Matched
	}
	if r.InsecureMX {
		s += ", MX insecure"
	}
	if r.Failure != "" {
		s += ", " + r.Failure
	}
	return s
}

// fingerWords are what the program says (Postfix 3.7, posttls-finger.c and tls_client.c), without
// the name in front. Its manual promises nothing, so the tests try every one of them.
type fingerWords struct {
	established, signed, matched, tlsaFailed, failed, handshake *regexp.Regexp
}

func newFingerWords() fingerWords {
	return fingerWords{
		established: regexp.MustCompile(`^(Verified|Trusted|Untrusted|Anonymous) TLS connection established to \S+: (\S+) with cipher`),
		signed:      regexp.MustCompile(`^DNSSEC-signed TLSA record: \S+: (\d+ \d+ \d+ [0-9A-F.]*)$`),
		matched:     regexp.MustCompile(`: Matched DANE (?:EE|TA) (?:certificate|public[- ]key) at depth \d+: (\d+ \d+ \d+ .*)$`),
		tlsaFailed:  regexp.MustCompile(`TLSA lookup error for `),
		failed:      regexp.MustCompile(`^(?:Failed to establish session to|Destination address lookup failed:) .*$`),
		handshake:   regexp.MustCompile(`^SSL_connect error to .*$`),
	}
}

// parseFinger reads the output, a line at a time.
func parseFinger(output string) FingerResult {
	r := FingerResult{Output: output}
	words := newFingerWords()
	none, unusable := false, false
	for line := range strings.Lines(output) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "posttls-finger: ")
		switch {
		case words.established.MatchString(line):
			m := words.established.FindStringSubmatch(line)
			r.Trust, r.Protocol = fingerTrust(m[1]), m[2]
		case words.signed.MatchString(line):
			r.Records = append(r.Records, words.signed.FindStringSubmatch(line)[1])
		case words.matched.MatchString(line):
			r.Matched = words.matched.FindStringSubmatch(line)[1]
		case strings.HasPrefix(line, "no TLSA records found"):
			none = true
		case strings.HasPrefix(line, "no usable TLSA records found"), strings.Contains(line, "all TLSA records unusable"):
			unusable = true
		case strings.HasPrefix(line, "MX RRset insecure"):
			r.InsecureMX = true
		case strings.HasPrefix(line, "< 220"):
			r.Connected = true
		case line == "< 250-STARTTLS", line == "< 250 STARTTLS":
			r.STARTTLS = true
		case words.handshake.MatchString(line):
			r.Failure = line
		case words.failed.MatchString(line):
			if r.Failure == "" {
				r.Failure = line
			}
			if words.tlsaFailed.MatchString(line) {
				r.TLSA = TLSAFailed
			}
		}
	}
	switch {
	case r.TLSA == TLSAFailed:
	case unusable:
		r.TLSA = TLSAUnusable
	case len(r.Records) > 0:
		r.TLSA = TLSAUsable
	case none:
		r.TLSA = TLSANone
	}
	return r
}

func fingerTrust(word string) FingerTrust {
	switch word {
	case "Verified":
		return Verified
	case "Trusted":
		return Trusted
	case "Untrusted":
		return Untrusted
	}
	return Anonymous
}
