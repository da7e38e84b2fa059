package submission

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
)

// A command is one command line taken apart: the verb in upper case and the rest
// as it came.
type command struct{ verb, args string }

// parseCommand reads a command line without its CRLF. The line holds no CR, LF or NUL.
func parseCommand(line string) command {
	verb, args, _ := strings.Cut(line, " ")
	return command{strings.ToUpper(verb), strings.Trim(args, " ")}
}

// refusal is why arguments are not acceptable: the reply to give.
type refusal struct{ reply reply }

func (r *refusal) Error() string { return r.reply.text }

func refuse(code int, enhanced, text string) error { return &refusal{reply{code, enhanced, text}} }

var errSyntax = refuse(501, "5.5.4", "Syntax error in parameters")

// mailArgs are the arguments of MAIL.
type mailArgs struct {
	path       mail.Address
	size       int64 // as declared; 0: not
	utf8       bool
	requireTLS bool
	ret        mail.Return // RFC 3461; empty: not said
	envelopeID string      // likewise
}

// parseMail reads what follows "MAIL ". requireTLS tells whether REQUIRETLS was offered.
func parseMail(args string, maxSize int64, requireTLS bool) (mailArgs, error) {
	rest, ok := cutPrefixFold(args, "FROM:")
	if !ok {
		return mailArgs{}, errSyntax
	}
	path, rest, err := cutPath(rest)
	if err != nil {
		return mailArgs{}, err
	}
	var a mailArgs
	seen := map[string]bool{}
	for _, p := range strings.Fields(rest) {
		key, value, hasValue := strings.Cut(p, "=")
		key = strings.ToUpper(key)
		if seen[key] || hasValue && value == "" {
			return mailArgs{}, errSyntax
		}
		seen[key] = true
		switch {
		case key == "SIZE" && hasValue:
			a.size, err = parseSize(value, maxSize)
		case key == "BODY" && (strings.EqualFold(value, "7BIT") || strings.EqualFold(value, "8BITMIME")):
		case key == "SMTPUTF8" && !hasValue:
			a.utf8 = true
		case key == "AUTH" && hasValue: // RFC 4954 section 5: we relay nobody's identity
			if _, e := mail.DecodeXtext(value); e != nil || len(value) > 500 {
				err = errSyntax
			}
		case key == "RET" && (strings.EqualFold(value, "FULL") || strings.EqualFold(value, "HDRS")):
			a.ret = mail.Return(strings.ToUpper(value))
		case key == "ENVID" && hasValue:
			a.envelopeID, err = syntax(mail.ParseEnvelopeID(value))
		case key == "REQUIRETLS" && !hasValue && requireTLS:
			a.requireTLS = true
		case key == "SIZE", key == "BODY", key == "SMTPUTF8", key == "AUTH", key == "RET", key == "ENVID":
			err = errSyntax
		default:
			err = refuse(555, "5.5.4", "Unsupported parameter")
		}
		if err != nil {
			return mailArgs{}, err
		}
	}
	if path == "" {
		return a, nil
	}
	a.path, err = parseMailbox(path, a.utf8)
	return a, err
}

// rcptArgs are the arguments of RCPT.
type rcptArgs struct {
	address mail.Address
	dsn     mail.RecipientDSN
}

// parseRcpt reads what follows "RCPT ".
func parseRcpt(args string, utf8Allowed bool) (a rcptArgs, err error) {
	rest, ok := cutPrefixFold(args, "TO:")
	if !ok {
		return a, errSyntax
	}
	path, rest, err := cutPath(rest)
	if err != nil {
		return a, err
	}
	seen := map[string]bool{}
	for _, p := range strings.Fields(rest) {
		key, value, _ := strings.Cut(p, "=")
		key = strings.ToUpper(key)
		if seen[key] {
			return a, errSyntax
		}
		seen[key] = true
		switch key {
		case "NOTIFY":
			a.dsn.Notify, err = syntax(mail.ParseNotify(value))
		case "ORCPT":
			a.dsn.Original, err = syntax(mail.ParseOriginalRecipient(value, utf8Allowed))
		default:
			err = refuse(555, "5.5.4", "Unsupported parameter")
		}
		if err != nil {
			return a, err
		}
	}
	a.address, err = parseMailbox(path, utf8Allowed)
	return a, err
}

// syntax makes any error one of syntax (RFC 3461 section 4: 501).
func syntax[T any](v T, err error) (T, error) {
	if err != nil {
		err = refuse(501, "5.5.4", err.Error())
	}
	return v, err
}

// parseMailbox reads the content of a path. Without SMTPUTF8 it is ASCII (RFC 6531).
func parseMailbox(path string, utf8Allowed bool) (mail.Address, error) {
	if !utf8Allowed {
		for i := range len(path) {
			if path[i] >= utf8.RuneSelf {
				return mail.Address{}, refuse(553, "5.6.7", "Address needs SMTPUTF8")
			}
		}
	}
	a, err := mail.ParseAddress(path) // refuses source routes and literals too
	if err != nil {
		return mail.Address{}, refuse(553, "5.1.3", "Bad address: "+err.Error())
	}
	return a, nil
}

// cutPath takes <path> off the front of s. A > inside a quoted local part does not
// end it. Spaces before it are borne: many clients send one.
func cutPath(s string) (path, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	if !strings.HasPrefix(s, "<") {
		return "", "", errSyntax
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			path, rest = s[1:i], s[i+1:]
			if rest != "" && rest[0] != ' ' {
				return "", "", errSyntax
			}
			return path, rest, nil
		}
	}
	return "", "", errSyntax
}

// parseSize reads a SIZE value: up to 20 digits (RFC 1870).
func parseSize(value string, maxSize int64) (int64, error) {
	if len(value) > 20 || strings.Trim(value, "0123456789") != "" {
		return 0, errSyntax
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n > maxSize {
		return 0, refuse(552, "5.3.4", "Message size exceeds "+strconv.FormatInt(maxSize, 10)+" octets")
	}
	return n, nil
}

// validHello reports whether s may be the argument of EHLO or HELO: something a
// host could be called. We do not use it.
func validHello(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
