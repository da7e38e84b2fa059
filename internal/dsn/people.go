package dsn

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxReply is how many octets of a reply are shown. What is longer is not an answer any more.
const maxReply = 2000

// forPeople is the text part: what failed, in plain words, and the reply as it came.
func (n *Notice) forPeople() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("This is the mail server %s.", n.ReportingMTA)
	line("")
	whom := "the recipient named below"
	if len(n.Fates) != 1 {
		whom = fmt.Sprintf("the %d recipients named below", len(n.Fates))
	}
	switch n.Action {
	case Delayed:
		line("Your message could not be delivered yet to %s.", whom)
		line("It is still being tried. You need not send it again.")
	case Relayed:
		line("Your message was handed on for %s,", whom)
		line("to a server that sends no notices of what becomes of it.")
	default:
		line("Your message could not be delivered to %s.", whom)
		line("It will not be tried again.")
	}
	line("")
	if n.Subject != "" {
		line("    Subject:    %s", oneLine(n.Subject, 200))
	}
	line("    Accepted:   %s", n.Arrival.UTC().Format(time.RFC1123Z))
	if n.MessageID != "" {
		line("    Message-ID: <%s>", oneLine(n.MessageID, 255))
	}
	for _, f := range n.Fates {
		line("")
		line("<%s>", oneLine(f.Recipient.String(), 320))
		line("    %s", f.sentence(n.Action))
		for _, l := range quoted(f.reply(" ")) {
			line("    > %s", l)
		}
	}
	switch {
	case n.RequireTLS:
		line("")
		line("The message was submitted with REQUIRETLS: it may travel only over verified")
		line("TLS, by servers that hold to the same. Therefore this notice holds its header,")
		line("and none of its text.")
	case n.TLSOptional && !slices.ContainsFunc(n.Fates, func(f Fate) bool { return !f.WantOfTLS }):
		line("")
		line("The message says \"TLS-Required: No\". It needed TLS all the same, and there was")
		line("none to be had.")
	}
	return b.String()
}

// sentence says what happened, without the words of the reply.
func (f *Fate) sentence(a Action) string {
	host := oneLine(f.Host, 255)
	switch {
	case a == Relayed:
		return "The server " + host + " took it:"
	case a == Delayed && f.Local:
		return "The last attempt ended with:"
	case a == Delayed && host != "":
		return "The server " + host + " does not take it now:"
	case a == Delayed:
		return "It was not taken now:"
	case f.Expired && f.Text == "" && f.Code == 0:
		return "It could not be delivered before it grew too old."
	case f.Expired:
		return "It could not be delivered before it grew too old. The last attempt ended with:"
	case f.Local && host != "":
		return "This server did not give it to " + host + ":"
	case f.Local:
		return "This server gave it up:"
	case host != "":
		return "The server " + host + " refused it:"
	}
	return "It was refused:"
}

// reply returns code, enhanced code and text of the reply, every line of it as it came.
func (f *Fate) reply(between string) string {
	var parts []string
	if f.Code >= 200 && f.Code <= 599 {
		parts = append(parts, fmt.Sprint(f.Code))
	}
	if isStatus(f.Enhanced, "4") || isStatus(f.Enhanced, "5") || f.Code/100 == 2 && isStatus(f.Enhanced, "2") {
		parts = append(parts, f.Enhanced)
	}
	if f.Text != "" {
		parts = append(parts, f.Text)
	}
	return strings.Join(parts, between)
}

// quoted returns the lines of foreign text, cut, without control characters.
func quoted(s string) []string {
	if s == "" {
		return nil
	}
	var lines []string
	for l := range strings.SplitSeq(cut(s, maxReply), "\n") {
		lines = append(lines, clean(l))
	}
	return lines
}

// oneLine returns foreign text as one line of at most most octets.
func oneLine(s string, most int) string { return clean(cut(s, most)) }

// clean replaces what could end a line, move a cursor or turn the direction of writing
// (SEC-37: remote text).
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// cut returns s within most octets, whole characters, and says that it was cut.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + " [...]"
}
