package signing

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// oversigned are the fields whose addition would change what a reader sees or
// whom an answer goes to. Each is listed once more than it occurs (SEC-25).
var oversigned = []string{
	"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

// signed are the fields that are signed as often as they occur. Mailbox
// providers want List-Unsubscribe covered before they offer it (RFC 8058 section 4).
var signed = []string{
	"Sender", "In-Reply-To", "References", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post",
	"Auto-Submitted", "Feedback-ID", "TLS-Required",
}

// A Signer signs for one domain and selector. It is safe for concurrent use.
type Signer struct {
	domain, selector string
	key              Key
	lifetime         time.Duration
}

// NewSigner returns a signer for a domain (A-labels, lower case) whose public key
// is at <selector>._domainkey.<domain>. A lifetime above zero makes the signatures
// expire after it (x=).
func NewSigner(domain, selector string, key Key, lifetime time.Duration) (*Signer, error) {
	switch {
	case key.private == nil:
		return nil, errors.New("signer has no key")
	case !isName(domain):
		return nil, fmt.Errorf("signing domain %q is not a domain name", domain)
	case !isName(selector):
		return nil, fmt.Errorf("selector %q is not a domain name", selector)
	}
	return &Signer{domain, selector, key, lifetime}, nil
}

// IsSelector reports whether s can be a selector (RFC 6376 section 3.1): labels of letters,
// digits and hyphens, in lower case, 128 octets at most.
func IsSelector(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return len(s) <= 128
}

// isName reports whether s can stand in a tag and in a DNS name.
func isName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return len(s) <= 253
}

// Sign returns the DKIM-Signature field for the message that d took, with its
// last CRLF, to be put before the message. d may be signed by several signers.
// It is an error if the message has no From field (RFC 6376 section 5.4).
func (s *Signer) Sign(d *Digest, now time.Time) (string, error) {
	fields := d.fields()
	names, chosen := choose(fields)
	if !strings.Contains(names+":", "From:From:") {
		return "", errors.New("message to sign has no From field")
	}
	t := newTags()
	t.add("v", "1")
	t.add("a", s.key.algorithm())
	t.add("c", "relaxed/relaxed")
	t.add("d", s.domain)
	t.add("s", s.selector)
	t.add("t", strconv.FormatInt(now.Unix(), 10))
	if s.lifetime > 0 {
		t.add("x", strconv.FormatInt(now.Add(s.lifetime).Unix(), 10))
	}
	t.add("h", names)
	t.add("bh", base64.StdEncoding.EncodeToString(d.body.sum()))
	t.add("b", "")

	hash := sha256.New()
	for _, f := range chosen {
		hash.Write([]byte(relaxedField(f) + "\r\n"))
	}
	hash.Write([]byte(relaxedField(t.String())))
	signature, err := s.key.sign([sha256.Size]byte(hash.Sum(nil)))
	if err != nil {
		return "", fmt.Errorf("sign for %s: %w", s.domain, err)
	}
	t.extend(base64.StdEncoding.EncodeToString(signature))
	return t.String() + "\r\n", nil
}

// choose returns the h= tag and the fields it stands for, in its order: of
// several with one name the last comes first (RFC 6376 section 5.4.2).
func choose(fields []string) (names string, chosen []string) {
	byName := map[string][]string{}
	for _, f := range fields {
		name, _, _ := strings.Cut(f, ":")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		byName[name] = append(byName[name], f)
	}
	var list []string
	take := func(name string, more int) {
		have := byName[strings.ToLower(name)]
		for i := len(have) - 1; i >= 0; i-- {
			list, chosen = append(list, name), append(chosen, have[i])
		}
		for range more {
			list = append(list, name)
		}
	}
	for _, name := range oversigned {
		take(name, 1)
	}
	for _, name := range signed {
		take(name, 0)
	}
	return strings.Join(list, ":"), chosen
}

// tags builds the field, folded where tags and long values allow it.
type tags struct {
	b   strings.Builder
	col int
}

const foldAt = 76

func newTags() *tags {
	t := &tags{}
	t.write("DKIM-Signature:")
	return t
}

func (t *tags) write(s string) {
	t.b.WriteString(s)
	t.col += len(s)
}

func (t *tags) fold() {
	t.b.WriteString("\r\n ")
	t.col = 1
}

// add adds one tag. Between tags stands "; ", at the end nothing.
func (t *tags) add(name, value string) {
	if name != "v" {
		t.write(";")
	}
	if len(value) > foldAt-t.col-len(name)-3 || name == "b" || name == "h" {
		t.fold()
	} else {
		t.write(" ")
	}
	t.write(name + "=")
	if name != "h" {
		t.write(value)
		return
	}
	for i, n := range strings.Split(value, ":") { // white space around a colon is allowed
		if i > 0 {
			t.write(":")
		}
		if t.col+len(n)+1 > foldAt {
			t.fold()
		}
		t.write(n)
	}
}

// extend writes the value of the last tag, folded anywhere: white space within
// base64 means nothing.
func (t *tags) extend(value string) {
	for value != "" {
		if t.col >= foldAt-1 {
			t.fold()
		}
		n := min(len(value), foldAt-1-t.col)
		t.write(value[:n])
		value = value[n:]
	}
}

// String returns the field without its line end.
func (t *tags) String() string { return t.b.String() }
