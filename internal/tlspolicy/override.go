package tlspolicy

// A Version is a version of TLS, with its number on the wire, so that a later one
// is the larger. The zero value is none.
type Version uint16

// The versions of TLS.
const (
	TLS10 Version = 0x0301
	TLS11 Version = 0x0302
	TLS12 Version = 0x0303
	TLS13 Version = 0x0304
)

// String returns the version as settings spell it.
func (v Version) String() string {
	if v < TLS10 || v > TLS13 {
		return "none"
	}
	return [...]string{"1.0", "1.1", "1.2", "1.3"}[v-TLS10]
}

// A Mode says what a policy of the recipient counts for. The zero value is Honor,
// and in an Override it leaves the domain's mode as it is.
type Mode uint8

const (
	ModeUnset Mode = iota
	Honor          // it decides
	Audit          // it is looked up and reported, and decides nothing
	Ignore         // it is not looked up: the facts have nothing
)

// String returns the mode as settings spell it.
func (m Mode) String() string { return [...]string{"", "honor", "audit", "ignore"}[m] }

// Honored reports whether the policy decides.
func (m Mode) Honored() bool { return m == ModeUnset || m == Honor }

// An OnUnverified says what OV does with a certificate that does not verify. The
// zero value leaves it to the domain.
type OnUnverified uint8

const (
	UnverifiedUnset OnUnverified = iota
	UnverifiedPlaintext
	UnverifiedEncrypt
)

// An Override is an exception for one destination. The zero value makes none.
type Override struct {
	// Class counts in place of the flags' where HasClass is set.
	Class    Class
	HasClass bool

	DANE, STS  Mode
	MinTLS     Version
	Unverified OnUnverified
}

// settled returns the facts that the requirement is made from: those that are left
// when the exception has been made, and when policies that decide nothing are out
// of the way. A message submitted with REQUIRETLS asks for more than any exception
// may take away: for it, only those that raise count.
func (f Facts) settled() Facts {
	o := f.Override
	f.Override = Override{}
	if f.MinTLS == 0 {
		f.MinTLS = TLS12
	}
	if f.Marking.REQUIRETLS() {
		o = o.raising(f)
		f.DANEMode, f.STSMode = Honor, Honor
	}
	f.DANEMode, f.STSMode = o.DANE.Over(f.DANEMode), o.STS.Over(f.STSMode)
	if o.HasClass {
		f.Flags = f.Flags.overridden(o.Class)
	}
	if o.MinTLS != 0 {
		f.MinTLS = o.MinTLS
	}
	if o.Unverified != UnverifiedUnset {
		f.EncryptUnverified = o.Unverified == UnverifiedEncrypt
	}
	if !f.DANEMode.Honored() {
		f.TLSA = TLSANotSecure
	}
	if !f.STSMode.Honored() {
		f.STS, f.STSListed = STSNoPolicy, false
	}
	f.DANEMode, f.STSMode = ModeUnset, ModeUnset
	return f
}

// Over returns m, or the lower level's mode where m is not set.
func (m Mode) Over(lower Mode) Mode {
	if m == ModeUnset {
		return lower
	}
	return m
}

// raising returns what is left of an exception when it must not lower anything.
func (o Override) raising(f Facts) Override {
	o.DANE, o.STS = ModeUnset, ModeUnset
	o.HasClass = o.HasClass && o.Class == RV
	if o.MinTLS < f.MinTLS {
		o.MinTLS = 0
	}
	if o.Unverified == UnverifiedPlaintext {
		o.Unverified = UnverifiedUnset
	}
	return o
}

// overridden returns the flags that lead to the class of an exception, as far as
// the message lets them: what it asks for itself, an exception can raise and never
// lower, and one that says require-tls is not lowered at all.
func (f Flags) overridden(c Class) Flags {
	asked := f.RequireTLS.Value && f.RequireTLS.Source == FromMessage
	if asked && c != RV {
		return f
	}
	set := func(flag *Flag, value, raises bool) {
		if flag.Value != value && (raises || flag.Source != FromMessage) {
			*flag = Flag{value, FromOverride}
		}
	}
	set(&f.RequireTLS, c == RV || c == RA, c == RV || c == RA)
	set(&f.SkipVerification, c == OA || c == RA, c == RV)
	return f
}
