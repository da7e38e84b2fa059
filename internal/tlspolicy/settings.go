package tlspolicy

import (
	"slices"

	"github.com/sealpost/sealpost/internal/mail"
)

// ModeOf reads a setting. What it does not know is honored: a setting that cannot be
// read must not switch a policy off.
func ModeOf(m mail.PolicyMode) Mode {
	switch m {
	case "":
		return ModeUnset
	case mail.Audit:
		return Audit
	case mail.Ignore:
		return Ignore
	}
	return Honor
}

// VersionOf reads a setting; zero is none.
func VersionOf(v mail.TLSVersion) Version {
	switch v {
	case mail.TLS10:
		return TLS10
	case mail.TLS11:
		return TLS11
	case mail.TLS12:
		return TLS12
	case mail.TLS13:
		return TLS13
	}
	return 0
}

// OverrideOf makes one exception of those in force for a recipient domain and an MX
// host. Of two that set the same, the first in the list wins.
func OverrideOf(list []mail.Override) (o Override) {
	for _, m := range slices.Backward(list) {
		if x := ModeOf(m.DANE); x != ModeUnset {
			o.DANE = x
		}
		if x := ModeOf(m.STS); x != ModeUnset {
			o.STS = x
		}
		if c, ok := ParseClass(m.Requirement); ok {
			o.HasClass, o.Class = true, c
		}
		if x := VersionOf(m.MinTLS); x != 0 {
			o.MinTLS = x
		}
		switch m.OnUnverified {
		case mail.UnverifiedPlaintext:
			o.Unverified = UnverifiedPlaintext
		case mail.UnverifiedEncrypt:
			o.Unverified = UnverifiedEncrypt
		}
	}
	return o
}
