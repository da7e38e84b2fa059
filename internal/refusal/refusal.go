// Package refusal reads what a mail host means when it refuses a recipient for good.
//
// In the world: a reply of class 5 says "never", and little else that a program can rely on.
// Some hosts mean that the address does not exist, others that they do not like our mail, our
// address, or today's weather, and many say both with code 550. Who confuses them does harm
// either way: a list of dead addresses that is not kept spoils the sender's reputation, and a living
// one on it gets no mail any more and never knows. The enhanced status codes of RFC 3463 help where they are used, and
// where they are used rightly; else there are only words.
//
// What this package does: [Of] sorts a reply into one of three kinds. It is a pure
// function with a long table of what real hosts say. When in doubt the address is not to blame.
package refusal

import (
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Kind is what a permanent refusal is about. The zero value is Other.
type Kind uint8

const (
	Other   Kind = iota // full, too large, malformed, misrouted, our own words, or nobody knows
	Address             // there is no such mailbox, or it is closed
	Block               // the host does not want this mail: policy, content, reputation
)

var kinds = [...]string{"other", "address", "block"}

// String returns the kind in one word.
func (k Kind) String() string { return kinds[k] }

// Of sorts the reply to a RCPT command. Replies to other commands can be blocks; that
// they are never about one address is the caller's to know.
func Of(r mail.Reply) Kind {
	if r.Local || !r.Permanent() {
		return Other
	}
	said := words(r.Text)
	subject, detail := status(r.Enhanced)
	switch {
	case r.Code == 530, subject == "7" && (detail == "10" || detail == "30"):
		return Other // of RFC 3207 and RFC 8689: they want TLS first
	case subject == "7":
		return Block
	case says(said, blocking):
		return Block
	case says(said, aboutSpace), says(said, aboutSender):
		return Other
	}
	switch subject {
	case "1":
		return byAddressStatus(detail)
	case "2", "3", "6":
		return byMailboxStatus(subject, detail, said)
	case "4":
		// Exchange Online says so of addresses that are not in its directory.
		if detail == "1" && strings.Contains(said, "recipient address rejected") {
			return Address
		}
	}
	return byWords(r.Code, subject, said)
}

// byAddressStatus reads X.1.X of RFC 3463 section 3.2.
func byAddressStatus(detail string) Kind {
	switch detail {
	case "0", "1", "2", "3", "6", "10": // 10 is RFC 7505: no mail at all
		return Address
	}
	return Other // of senders, or ambiguous
}

// byMailboxStatus reads X.2.X, X.3.X and X.6.X: of them only a mailbox that is disabled is the
// address's fault, but some hosts have one status for all they say.
func byMailboxStatus(subject, detail, said string) Kind {
	switch {
	case subject == "2" && detail == "1", subject != "6" && detail == "0" && says(said, noSuchUser):
		return Address
	}
	return Other
}

// byWords reads replies whose status says nothing.
func byWords(code int, subject, said string) Kind {
	if says(said, noSuchUser) {
		return Address
	}
	switch {
	case subject != "" && subject != "0" && subject != "5", strings.Contains(said, "relay"):
		return Other
	case says(said, unwilling):
		return Block
	case says(said, aboutRoute), subject == "5":
		return Other
	case code == 550, code == 551, code == 553: // RFC 5321 section 4.2.3: all three are about the mailbox
		return Address
	}
	return Other
}

// status takes an enhanced status code apart.
func status(enhanced string) (subject, detail string) {
	parts := strings.Split(enhanced, ".")
	if len(parts) != 3 {
		return "", ""
	}
	return parts[1], parts[2]
}

// words returns a text in lower case, with one space between words, without what it only quotes: links and
// addresses. Somebody may be called spam@example.net.
func words(text string) string {
	var b strings.Builder
	b.WriteByte(' ')
	for w := range strings.FieldsSeq(strings.ToLower(text)) {
		if strings.Contains(w, "://") || strings.Contains(w, "www.") {
			continue
		}
		for part := range strings.FieldsFuncSeq(w, func(c rune) bool { return strings.ContainsRune("_-'’:;,()<>[]\"", c) }) {
			if !strings.Contains(part, "@") {
				b.WriteString(part)
				b.WriteByte(' ')
			}
		}
	}
	return b.String()
}

func says(said string, phrases []string) bool {
	return slices.ContainsFunc(phrases, func(p string) bool { return strings.Contains(said, p) })
}

// blocking are words of those who do not want our mail, whatever else they say.
var blocking = []string{
	"spam", "unsolicited", "junk", "bulk mail", "blacklist", "black list", "blocklist", "block list", "blocked", "denylist", "deny list",
	"dnsbl", " rbl", "reputation", "dmarc", "spf ", "dkim", "unauthenticated", "policy", "policies", "abuse", "abusive", "banned",
	"virus", "malware", "phish", "suspicious", "mail content", "message content", "reverse dns", "rdns", "ptr record", "client host", "your ip", "your server",
	"your network", "sending ip", "throttl", "complaint", "cloudmark", "senderbase", "sorbs", "fcrdns", "refuse to talk", "your domain",
}

// aboutSpace are words about size, quota and speed.
var aboutSpace = []string{
	"quota", "mailbox full", "mailbox is full", "inbox is full", "full mailbox", "storage", "out of space", "too large", "too big", "size limit", "maximum size", "exceeds size",
	"at a rate", "rate limit", "too many", "too fast", "too much mail", "try again later", "temporar",
}

// aboutSender are words about the reverse-path.
var aboutSender = []string{
	"sender verif", "sender verify", "verification failed for", "verify sender", "sender address", "sender domain", "sender rejected", "sender denied", "sender not", "invalid sender", "senders domain",
	"domain of sender", "return path", "reverse path", "mail from", "originating",
}

// noSuchUser are words about a mailbox that is not there.
var noSuchUser = missing()

func missing() []string {
	var list []string
	for _, what := range []string{"user", "recipient", "mailbox", "account", "address", "addressee", "email", "person", "local part", "customer", "member"} {
		for _, how := range []string{
			" unknown", " not found", " does not exist", " doesn t exist", " is unknown", " was not found", " is not found", " not exist", " not known", " is not known", " unavailable", " is unavailable", " not available",
			" invalid", " is invalid", " disabled", " is disabled", " has been disabled", " inactive", " is inactive", " not active", " is not active", " deactivated", " closed", " suspended", " is suspended", " expired",
			" no longer", " is no longer", " has moved", " deleted", " terminated", " not listed", " could not be found", " cannot be found", " not valid", " is not valid", " is not a valid", " lookup failed", " does not have a",
		} {
			list = append(list, what+how)
		}
		for _, how := range []string{"no such ", "unknown ", "invalid ", "nonexistent ", "non existent ", "not a valid ", "not our ", "inactive ", "disabled ", "no ", "doesn t have a "} {
			list = append(list, how+what)
		}
	}
	return append(list, "nobody by that name", "no longer valid", "not our customer", "unrouteable address", "unroutable address", "no mailbox here", "recipnotfound", "undeliverable address",
		"this user doesn t have", "unknown or illegal alias", "unknown local", "not a known user", "not in directory")
}

// unwilling are words of those who could take the mail and do not.
var unwilling = []string{"denied", "prohibit", "not authorized", "unauthorized", "not permitted", "not allowed", "restricted", "forbidden", "security", "not accept", "refused", "disallowed"}

// aboutRoute are words of those who have nothing to do with the address.
var aboutRoute = []string{"relay", "sender", "syntax", "command", "protocol", "loop", "hops", "helo", "ehlo", "authenticat", "starttls", "timeout", "local error", "internal error", "service"}
