package dsn

import (
	"fmt"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// forPrograms is the second part (RFC 3464 section 2): fields about the message, then a
// group of fields per recipient, the groups divided by blank lines.
func (n *Notice) forPrograms() string {
	var b strings.Builder
	if n.EnvelopeID != "" {
		field(&b, "Original-Envelope-Id", oneLine(n.EnvelopeID, mail.MaxEnvelopeID)) // section 2.2.1
	}
	field(&b, "Reporting-MTA", "dns; "+n.ReportingMTA)               // section 2.2.2
	field(&b, "Arrival-Date", n.Arrival.UTC().Format(time.RFC1123Z)) // section 2.2.5
	for _, f := range n.Fates {
		b.WriteString("\r\n")
		if f.Original != "" {
			field(&b, "Original-Recipient", typedOriginal(f.Original)) // section 2.3.1
		}
		field(&b, "Final-Recipient", typed(f.Recipient)) // section 2.3.2
		field(&b, "Action", n.Action.String())           // section 2.3.3
		field(&b, "Status", f.status(n.Action))          // section 2.3.4
		// Section 2.3.5: the server that reported the status to us. It did not, where we decided.
		if f.Host != "" && !f.Local && !f.Expired {
			field(&b, "Remote-MTA", "dns; "+oneLine(f.Host, 255))
		}
		if d := f.diagnostic(); d != "" {
			field(&b, "Diagnostic-Code", d) // section 2.3.6
		}
		if !f.At.IsZero() {
			field(&b, "Last-Attempt-Date", f.At.UTC().Format(time.RFC1123Z)) // section 2.3.7
		}
	}
	return b.String()
}

// typed returns an address as programs read it. One that is not ASCII gets the type
// utf-8, and the form of it that fits into 7 bits (RFC 6533 section 3, utf-8-addr-xtext).
func typed(a mail.Address) string {
	s := a.String()
	if isASCII([]byte(s)) {
		return "rfc822; " + s
	}
	return "utf-8; " + mail.EncodeUTF8Address(s)
}

// typedOriginal returns an address as the sender gave it with its type (ORCPT).
func typedOriginal(s string) string {
	kind, address, _ := strings.Cut(s, ";")
	if strings.EqualFold(kind, "utf-8") {
		address = mail.EncodeUTF8Address(address)
	}
	return kind + "; " + oneLine(address, 4*mail.MaxOriginalRecipient)
}

// status returns the status code (RFC 3463) of what happened: the one of the reply where it
// has one, else what can be said without.
func (f *Fate) status(a Action) string {
	switch {
	case a == Relayed && isStatus(f.Enhanced, "2"):
		return f.Enhanced
	case a == Relayed:
		return "2.0.0"
	case a == Delayed && isStatus(f.Enhanced, "4"):
		return f.Enhanced
	case a == Delayed:
		return "4.0.0"
	case f.Expired:
		return "4.4.7" // section 3.5: delivery time expired. The cause was transient to the end
	case isStatus(f.Enhanced, "4"), isStatus(f.Enhanced, "5"):
		return f.Enhanced
	case f.Code >= 400 && f.Code <= 499:
		return "4.0.0"
	}
	return "5.0.0"
}

// isStatus reports whether s is a status code of the class (RFC 3463 section 2).
func isStatus(s, class string) bool {
	rest, ok := strings.CutPrefix(s, class+".")
	subject, detail, more := strings.Cut(rest, ".")
	return ok && more && isNumber(subject) && isNumber(detail)
}

func isNumber(s string) bool {
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

// diagnostic returns the reply behind its type: smtp for what a server said, a type of
// our own for what we say ourselves, so that nobody takes one for the other.
func (f *Fate) diagnostic() string {
	reply := oneLine(strings.ReplaceAll(cut(f.reply(" "), maxReply), "\n", " "), 2*maxReply)
	switch {
	case f.Expired && reply == "":
		return "X-Sealpost; delivery time expired"
	case f.Expired:
		return "X-Sealpost; delivery time expired, last reply: " + reply
	case reply == "":
		return ""
	case f.Local:
		return "X-Sealpost; " + reply
	}
	return "smtp; " + reply
}

// foldAt is the column behind which lines are folded.
const foldAt = 76

// field writes a field in ASCII, folded at spaces and, where there are none, at foldAt.
// What is not ASCII is written as its code point, as RFC 6533 writes it in addresses.
func field(b *strings.Builder, name, value string) {
	b.WriteString(name + ":")
	col := len(name) + 1
	for word := range strings.FieldsSeq(escape(value)) {
		if col > len(name)+1 && col+1+len(word) > foldAt {
			b.WriteString("\r\n")
			col = 0
		}
		for len(word) > maxLine-foldAt { // no line may have more than 998 octets
			b.WriteString(" " + word[:foldAt] + "\r\n")
			word, col = word[foldAt:], 0
		}
		b.WriteString(" " + word)
		col += 1 + len(word)
	}
	b.WriteString("\r\n")
}

func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > '~' {
			fmt.Fprintf(&b, `\x{%02X}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
