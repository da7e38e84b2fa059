package delivery

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mx"
)

// unroutable reports on a domain for which no MX host was found.
func (a *attempt) unroutable(ctx context.Context, route mx.Result) {
	if a.parent.Err() != nil {
		a.giveUp(ctx)
		return
	}
	domain := a.job.NextHop
	bounce := mail.RecipientResult{Outcome: mail.Bounced, Reason: "bounce"}
	later := mail.RecipientResult{Outcome: mail.Deferred, Reason: "generic", Scope: mail.ScopeHost}
	switch route.State {
	case mx.NullMX:
		bounce.Reply = mail.LocalReply(556, "5.1.10", fmt.Sprintf("%s does not accept mail (null MX)", domain))
		a.decide(bounce)
	case mx.NoHosts:
		bounce.Reply = mail.LocalReply(550, "5.4.4", fmt.Sprintf("no MX record of %s names a usable host", domain))
		a.decide(bounce)
	case mx.NoSuchDomain, mx.NoRecords:
		if a.confirmedAbsent(domain, route.Asked) {
			bounce.Reply = mail.LocalReply(550, "5.1.2", fmt.Sprintf("the domain %s does not exist", domain))
			if route.State == mx.NoRecords {
				bounce.Reply = mail.LocalReply(550, "5.4.4", fmt.Sprintf("%s has neither MX nor address records", domain))
			}
			a.decide(bounce)
			return
		}
		later.NoMX = true
		later.Reply = mail.LocalReply(451, "4.4.4", fmt.Sprintf("No MX for [%s]", domain))
		a.decide(later)
	default:
		later.Scope = dnsScope(route.Err)
		later.Reply = mail.LocalReply(451, "4.4.3", clip(fmt.Sprintf("find MX hosts of %s: %v", domain, route.Err), 500))
		a.decide(later)
	}
}

// confirmedAbsent reports whether the domain was already said not to exist at
// least five minutes before (SEC-44): one such answer may be an accident.
func (a *attempt) confirmedAbsent(domain string, asked time.Time) bool {
	first, ok := a.d.absent.get(domain)
	if !ok {
		a.d.absent.put(domain, asked)
		return false
	}
	return asked.Sub(first) >= absenceConfirmed
}

// dnsScope tells our resolver being unreachable from one domain's name servers
// being broken.
func dnsScope(err error) mail.Scope {
	var f *dnssec.Failure
	if errors.As(err, &f) && (f.Reason == dnssec.Network || f.Reason == dnssec.Refused) {
		return mail.ScopeSelf
	}
	return mail.ScopeHost
}

// connectScope tells our own network being down from one host being unreachable.
func connectScope(err error) mail.Scope {
	if errors.Is(err, syscall.ENETDOWN) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return mail.ScopeSelf
	}
	return mail.ScopeHost
}
