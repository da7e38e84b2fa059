package accept

import (
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// lowered lists the flags, by name, by which a message asks for less than its
// domain's flags require. Where the domain does not require TLS there is nothing
// to lower; where it takes any certificate, only whether TLS is required.
func lowered(domain, message mail.TLSFlags) []string {
	if !domain.RequireTLS.Bool() {
		return nil
	}
	var flags []string
	if message.RequireTLS == mail.False {
		flags = append(flags, "require-tls")
	}
	if !domain.SkipVerification.Bool() && message.SkipVerification == mail.True {
		flags = append(flags, "skip-verification")
	}
	return flags
}

// checkFloor refuses a message that would lower what its domain requires, if the
// domain does not let it (floor). Without a floor the message's flags win.
func checkFloor(d store.Domain, message mail.TLSFlags) error {
	if !d.Delivery.Floor {
		return nil
	}
	flags := lowered(d.TLS, message)
	if len(flags) == 0 {
		return nil
	}
	requires := "TLS with a certificate that verifies"
	if d.TLS.SkipVerification.Bool() {
		requires = "TLS"
	}
	return &Error{Status: 400, Code: 550, Enhanced: "5.7.0", Message: fmt.Sprintf(
		"%s of the message would lower what domain %s requires (%s), and the domain has a floor: leave it out, or take the floor away",
		strings.Join(flags, " and "), d.Name, requires)}
}
