package tlspolicy

import "github.com/sealpost/sealpost/internal/mail"

// A FlagSource says which level decided a flag.
type FlagSource uint8

const (
	FromDefault FlagSource = iota // neither level set it
	FromDomain
	FromMessage
	FromFloor    // the message wanted less than the domain's floor
	FromOverride // an exception for this recipient
)

// String returns the source as the log spells it.
func (s FlagSource) String() string {
	return [...]string{"default", "domain", "message", "floor", "override"}[s]
}

// A Flag is an effective sender flag and where its value came from.
type Flag struct {
	Value  bool
	Source FlagSource
}

// Flags are the two effective sender flags. The zero value is the default:
// both false.
type Flags struct {
	RequireTLS       Flag
	SkipVerification Flag
}

// Resolve combines the message's and the sending domain's settings. The message
// wins over the domain, flag by flag; with a floor it cannot lower what a domain
// that requires TLS requires.
func Resolve(message, domain mail.TLSFlags, floor bool) Flags {
	f := Flags{
		RequireTLS:       resolve(message.RequireTLS, domain.RequireTLS),
		SkipVerification: resolve(message.SkipVerification, domain.SkipVerification),
	}
	if !floor || !domain.RequireTLS.Bool() {
		return f
	}
	if !f.RequireTLS.Value {
		f.RequireTLS = Flag{true, FromFloor}
	}
	if f.SkipVerification.Value && !domain.SkipVerification.Bool() {
		f.SkipVerification = Flag{false, FromFloor}
	}
	return f
}

func resolve(message, domain mail.Tri) Flag {
	switch {
	case message != mail.Unset:
		return Flag{message.Bool(), FromMessage}
	case domain != mail.Unset:
		return Flag{domain.Bool(), FromDomain}
	}
	return Flag{}
}

// Class returns what the flags alone ask for.
func (f Flags) Class() Class {
	switch {
	case f.RequireTLS.Value && f.SkipVerification.Value:
		return RA
	case f.RequireTLS.Value:
		return RV
	case f.SkipVerification.Value:
		return OA
	}
	return OV
}
