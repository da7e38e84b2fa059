package impact

import (
	"cmp"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// A Delivery is how far a message gets, and how.
type Delivery uint8

const (
	Verified     Delivery = iota // over TLS, with an authenticated server
	Unverified                   // over TLS, with whom is not known
	InPlaintext                  // without TLS
	NotDelivered                 // not at all, for now: it is deferred
	Unknown                      // the evidence does not say
	deliveries   = iota
)

// String returns the word of the API.
func (d Delivery) String() string {
	return [...]string{"verified", "unverified", "plaintext", "not-delivered", "unknown"}[d]
}

// MarshalText writes the word of the API.
func (d Delivery) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Reasons why a message is not delivered, or why that is unknown, that are no
// result of the decision.
const (
	ReasonUnreachable  = "unreachable"   // no session came about with any MX host
	ReasonNoMXHost     = "no-mx-host"    // the recipient domain takes no mail
	ReasonNoEvidence   = "no-evidence"   // no MX host was contacted, or its evidence was not kept
	ReasonNotContacted = "not-contacted" // refused before contact then, and not now
	ReasonTLSAIgnored  = "tlsa-unknown"  // DANE was ignored then, and is not now
	ReasonSTSIgnored   = "sts-unknown"   // MTA-STS was ignored then, and is not now
	ReasonTLSVersion   = "tls-version"   // the minimum version was another one then
	ReasonCipherSuite  = "cipher-suite"  // depends on RSA key exchange, offered only where nothing has to verify
	reasonNone         = ""
)

// Pairs are the four pairs of flags, in the order of every table: neither,
// skip-verification, require-tls, both. They are set by the domain.
func Pairs() [4]tlspolicy.Flags {
	on, off := tlspolicy.Flag{Value: true, Source: tlspolicy.FromDomain}, tlspolicy.Flag{Source: tlspolicy.FromDomain}
	return [4]tlspolicy.Flags{
		{RequireTLS: off, SkipVerification: off},
		{RequireTLS: off, SkipVerification: on},
		{RequireTLS: on, SkipVerification: off},
		{RequireTLS: on, SkipVerification: on},
	}
}

// Overrides finds the exceptions that are in force. Implementations answer from
// memory and are safe for concurrent use.
type Overrides interface {
	// Override returns the exceptions for mail to the next hop over the MX host, those
	// of the next hop first.
	Override(nextHop, mxHost string, now time.Time) []mail.Override
}

// Terms are what counts now for mail to one recipient domain, besides the flags.
type Terms struct {
	NextHop  string
	Settings mail.DomainDelivery // of the sending domain
	// Overrides are the exceptions in force; nil is none.
	Overrides Overrides
	// Also is one more exception, as if it were in force and the first of all.
	Also mail.Override
	Now  time.Time
}

// facts returns the facts of a host with the flags and under the terms of now: what
// the message, the settings and the exceptions of then were is replaced.
func (t Terms) facts(r *Reading, flags tlspolicy.Flags) tlspolicy.Facts {
	f := r.Facts
	f.Flags, f.Marking = flags, tlspolicy.Unmarked
	f.EncryptUnverified, f.DeferDowngrade = t.Settings.EncryptUnverified, t.Settings.DeferDowngrade
	f.DANESuffices = t.Settings.DANESuffices
	f.MinTLS = tlspolicy.VersionOf(t.Settings.MinTLS)
	dane, sts := t.Settings.PolicyModes(t.Now)
	f.DANEMode, f.STSMode = tlspolicy.ModeOf(dane), tlspolicy.ModeOf(sts)
	var list []mail.Override
	if t.Overrides != nil {
		list = t.Overrides.Override(t.NextHop, r.MXHost, t.Now)
	}
	if !t.Also.IsZero() {
		list = append([]mail.Override{t.Also}, list...)
	}
	f.Override = tlspolicy.OverrideOf(list)
	return f
}

// An Outcome is what a pair of flags leads to.
type Outcome struct {
	Delivery Delivery
	Class    tlspolicy.Class
	// Result as a delivery would log it; empty where no host was judged.
	Result tlspolicy.Result
	// Reason says why there is no result, or why it does not hold.
	Reason string
	MXHost string
	// VerifyErrors and Error say more: what is wrong with the certificate, how the handshake or
	// the connection failed.
	VerifyErrors []string
	Error        string
}

// judge says what a pair of flags leads to at one host.
func (t Terms) judge(r *Reading, flags tlspolicy.Flags) Outcome {
	f := t.facts(r, flags)
	req := tlspolicy.Require(f)
	o := Outcome{Delivery: Unknown, Class: req.Class, MXHost: r.MXHost}
	if r.State == Unreachable {
		o.Delivery, o.Reason, o.Error = NotDelivered, ReasonUnreachable, r.Error
		return o
	}
	s := r.Session
	if o.Reason = doubt(r, f, req); o.Reason != reasonNone {
		return o
	}
	// A hello that nobody answers is followed by a small one: what is kept is how that ended.
	s.NoServerHello = false
	v := tlspolicy.Judge(req, s)
	if v.Action == tlspolicy.Plaintext || v.Action == tlspolicy.PlaintextFresh {
		v = afterPlaintext(r, req, v)
	}
	o.Result, o.Delivery = v.Result, deliveryOf(v)
	if o.Delivery != Verified && s.Handshake == tlspolicy.Completed {
		o.VerifyErrors = r.VerifyErrors
	}
	if s.StartTLS == tlspolicy.Started && s.Handshake != tlspolicy.Completed {
		o.Error = r.Error
	}
	return o
}

// afterPlaintext returns the verdict where a host does not take plaintext.
func afterPlaintext(r *Reading, req tlspolicy.Requirement, v tlspolicy.Verdict) tlspolicy.Verdict {
	if !r.PlaintextRefused {
		return v
	}
	if again, ok := req.AfterPlaintextRefused(); ok {
		if u := tlspolicy.Judge(again, r.Session); u.Action == tlspolicy.Deliver {
			return u
		}
	}
	return tlspolicy.Verdict{Result: tlspolicy.WithoutPlaintext(v.Result)}
}

func deliveryOf(v tlspolicy.Verdict) Delivery {
	switch {
	case v.Action == tlspolicy.Deliver && v.Verified:
		return Verified
	case v.Action == tlspolicy.Deliver:
		return Unverified
	case v.Action == tlspolicy.NextHost:
		return NotDelivered
	}
	return InPlaintext
}

// doubt says why a verdict on what was seen would be a guess; empty if it is none.
func doubt(r *Reading, f tlspolicy.Facts, req tlspolicy.Requirement) string {
	if req.Refuse != "" {
		return reasonNone // whatever the session would be
	}
	dane, sts := cmp.Or(f.Override.DANE, f.DANEMode), cmp.Or(f.Override.STS, f.STSMode)
	authenticates := req.Needs.Has(tlspolicy.Authenticate)
	old := r.Session.Handshake == tlspolicy.TooOld
	switch {
	case r.State == Refused:
		return ReasonNotContacted
	case r.NoTLSA && dane.Honored():
		return ReasonTLSAIgnored
	case r.NoSTS && sts.Honored():
		return ReasonSTSIgnored
	case old && req.MinTLS < tlspolicy.Require(r.Facts).MinTLS:
		return ReasonTLSVersion
	case r.RSAKeyExchange && authenticates, r.SuiteTrouble && !authenticates:
		return ReasonCipherSuite
	}
	return reasonNone
}

// Project says what a pair of flags leads to at hosts in the order in which a delivery
// goes through them, siblings side by side: among them one that gives TLS goes
// before one that would be sent plaintext.
func (t Terms) Project(hosts []Reading, flags tlspolicy.Flags) Outcome {
	last := Outcome{Delivery: Unknown, Reason: ReasonNoEvidence, Class: flags.Class()}
	for i := 0; i < len(hosts); {
		var plain *Outcome
		for first := i; i < len(hosts) && (i == first || hosts[i].Sibling); i++ {
			o := t.judge(&hosts[i], flags)
			switch {
			case o.Delivery == Verified, o.Delivery == Unverified, o.Delivery == Unknown:
				// It might have taken the message, so what comes after it does not count.
				return o
			case o.Delivery == InPlaintext:
				if plain == nil {
					plain = &o
				}
			case o.Reason != ReasonUnreachable || last.Result == "":
				// A host refused for its TLS explains more than one that did not answer.
				last = o
			}
		}
		if plain != nil {
			return *plain
		}
	}
	return last
}

// inOrder returns hosts in the order in which a delivery goes through them: as they
// are, but with preferences, where all of them are known, having the last word.
func inOrder(hosts []Reading) []Reading {
	list := slices.Clone(hosts)
	if slices.ContainsFunc(list, func(r Reading) bool { return r.Preference < 0 }) {
		return list
	}
	slices.SortStableFunc(list, func(a, b Reading) int { return cmp.Compare(a.Preference, b.Preference) })
	for i := range list {
		list[i].Sibling = i > 0 && list[i].Preference == list[i-1].Preference
	}
	return list
}
