package accept

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// A claim is a domain that somebody wants to appear as.
type claim struct {
	Door        Door
	Sending     string // the sending domain, authenticated
	AccountWide bool   // may send for every domain of the account that owns Sending
	ReversePath bool   // the claim is about the envelope, not about a header field

	As    string // the domain claimed
	Owner string // the registered domain that is As or the nearest above it; empty: none on this server
	// Sibling: Owner is of the same account as Sending.
	Sibling bool
}

// maySendAs decides whether the claim stands (SEC-57). Who sends may appear
//
//   - as the sending domain and what is below it;
//   - as a domain nobody registered here which is organisationally aligned with the
//     sending domain: the same registrable domain, so that mg.example.com speaks
//     for example.com;
//   - in header fields of a message from the API, as any other domain nobody registered here:
//     the API promises that from may differ from the sending domain;
//   - as another registered domain only if that is of the same account, and with an
//     account-wide key, which could have chosen that domain as the sending domain in the first
//     place; and in the envelope only if it is aligned as well, since that is where bounces go.
//
// A domain registered here is never its neighbour's to use, aligned or not.
func maySendAs(c claim) bool {
	switch {
	case c.As == "" || c.Sending == "":
		return false
	case c.Owner == c.Sending:
		return true
	case c.Owner != "" && !(c.AccountWide && c.Sibling):
		return false
	case aligned(c.As, c.Sending):
		return true
	}
	return !c.ReversePath && c.Door == HTTP
}

// aligned reports whether two domains have the same registrable domain. A
// public suffix has none and is aligned with nothing but itself.
func aligned(a, b string) bool {
	if a == b {
		return true
	}
	orgA, errA := publicsuffix.EffectiveTLDPlusOne(a)
	orgB, errB := publicsuffix.EffectiveTLDPlusOne(b)
	return errA == nil && errB == nil && orgA == orgB
}

// parents returns the domain and every domain above it that has a dot, nearest first.
func parents(domain string) []string {
	var list []string
	for d := domain; strings.Contains(d, "."); {
		list = append(list, d)
		_, d, _ = strings.Cut(d, ".")
	}
	return list
}
