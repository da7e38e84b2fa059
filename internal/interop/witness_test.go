package interop

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/realmta"
)

// An outcome is what our log says about one recipient. It is read from the JSON
// by names written here once more, because these names are what users rely on.
type outcome struct {
	Event     string `json:"event"`
	Severity  string `json:"severity"`
	Recipient string `json:"recipient"`
	Message   struct {
		Headers struct {
			Subject string `json:"subject"`
		} `json:"headers"`
	} `json:"message"`
	Status struct {
		Code                int     `json:"code"`
		Enhanced            string  `json:"enhanced-code"`
		Message             string  `json:"message"`
		TLS                 *bool   `json:"tls"`
		CertificateVerified *bool   `json:"certificate-verified"`
		MXHost              *string `json:"mx-host"`
		Detail              struct {
			Result         string   `json:"result"`
			Fallback       string   `json:"fallback"`
			FallbackReason string   `json:"fallback-reason"`
			Requirement    string   `json:"requirement"`
			Cipher         string   `json:"cipher"`
			Version        string   `json:"version"`
			Handshake      string   `json:"handshake"`
			VerifyErrors   []string `json:"verify-errors"`
			Source         string   `json:"requirement-source"`
			MXIP           string   `json:"mx-ip"`
			MXAuth         string   `json:"mx-authenticated"`
			Marking        string   `json:"marking"`
			TLSA           *struct {
				State   string `json:"state"`
				Base    string `json:"base"`
				Matched string `json:"matched"`
			} `json:"tlsa"`
			STS *struct {
				State  string `json:"state"`
				ID     string `json:"id"`
				Cached bool   `json:"cached"`
				Listed *bool  `json:"listed"`
				Fault  string `json:"fault"`
			} `json:"sts"`
		} `json:"tls-detail"`
	} `json:"delivery-status"`
}

// delivered tells whether the recipient's server has taken the message.
func (o outcome) delivered() bool { return o.Event == "delivered" }

// events returns our log about a message, or all of it when id is empty, oldest first. More
// filters are given as name and value.
func (r *rig) events(t *testing.T, id string, filters ...string) []outcome {
	t.Helper()
	query := url.Values{"ascending": {"yes"}, "limit": {"300"}}
	for pair := range slices.Chunk(filters, 2) {
		query.Set(pair[0], pair[1])
	}
	if id != "" {
		query.Set("message-id", id)
	}
	var page struct {
		Items []outcome `json:"items"`
	}
	r.mustCall(t, &page, "GET", "/v3/"+sendingDomain+"/events?"+query.Encode())
	return page.Items
}

// outcome waits for the first event about what became of a recipient.
func (r *rig) outcome(t *testing.T, id, recipient string) (found outcome) {
	t.Helper()
	until(t, "outcome for "+recipient, func() bool {
		events := r.events(t, id)
		i := slices.IndexFunc(events, func(o outcome) bool { return o.Recipient == recipient && o.Event != "accepted" })
		if i >= 0 {
			found = events[i]
		}
		return i >= 0
	})
	return found
}

// stored returns the messages that a receiver has put into its mailbox for one recipient.
func stored(t *testing.T, s *realmta.Server, recipient string) []realmta.Message {
	t.Helper()
	all, err := s.Messages()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(m realmta.Message) bool { return m.Recipient != recipient })
}

// arrived waits for the one message for a recipient.
func arrived(t *testing.T, s *realmta.Server, recipient string) realmta.Message {
	t.Helper()
	var got []realmta.Message
	until(t, "mail for "+recipient, func() bool {
		got = stored(t, s, recipient)
		return len(got) > 0
	})
	if len(got) > 1 {
		t.Fatalf("%s has %d messages, want 1", recipient, len(got))
	}
	return got[0]
}

// A session is what a receiver says about the session that a message came in.
type session struct {
	protocol string // upper case: ESMTP, ESMTPS, UTF8SMTPS
	tls      bool
	cipher   string // the bulk cipher, such as AES_128_GCM; empty without TLS
	id       string // of the message in the receiver's queue
}

var (
	withPattern = regexp.MustCompile(`\bwith (\S+)`)
	// OpenSSL, GnuTLS and Go have different names for a suite, and agree on this part.
	cipherPattern = regexp.MustCompile(`\b(?:TLS|ECDHE)\S*_((?:AES_\d+_GCM|CHACHA20_POLY1305))`)
	idPattern     = regexp.MustCompile(`\bid ([0-9A-Za-z-]+)`)
)

// parseReceived reads a Received field of Postfix or Exim:
//
//	from c (c [127.0.0.1]) (using TLSv1.3 with cipher X (…) …) by mx (Postfix) with ESMTPS id 1A2B …
//	from [127.0.0.1] (helo=c) by mx with esmtps (TLS1.3) tls X (Exim 4.96) … id 1abc-… for …
func parseReceived(t *testing.T, m realmta.Message) session {
	t.Helper()
	field := m.Received()
	_, by, found := strings.Cut(field, " by ")
	with, id := withPattern.FindStringSubmatch(by), idPattern.FindStringSubmatch(by)
	if !found || with == nil || id == nil {
		t.Fatalf("cannot read the Received field %q", field)
	}
	s := session{protocol: strings.ToUpper(with[1]), cipher: bulkCipher(field), id: id[1]}
	s.tls = strings.HasSuffix(s.protocol, "S")
	return s
}

// bulkCipher finds the name of a cipher suite in a text.
func bulkCipher(text string) string {
	if m := cipherPattern.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// logged returns what the receiver's log says about the session in which it
// took the message with the given queue id.
func logged(t *testing.T, mta, log, id string) session {
	t.Helper()
	if mta == "exim" {
		return eximLogged(t, log, id)
	}
	return postfixLogged(t, log, id)
}

var eximProtocol = regexp.MustCompile(` P=(\S+)`)

func eximLogged(t *testing.T, log, id string) session {
	t.Helper()
	for line := range strings.Lines(log) {
		if !strings.Contains(line, " "+id+" <= ") {
			continue
		}
		s := session{id: id, tls: strings.Contains(line, " X=TLS"), cipher: bulkCipher(line)}
		if p := eximProtocol.FindStringSubmatch(line); p != nil {
			s.protocol = strings.ToUpper(p[1])
		}
		return s
	}
	t.Fatalf("exim's log knows no message %s", id)
	return session{}
}

var postfixLine = regexp.MustCompile(`postfix/smtpd\[(\d+)\]: (.*)`)

// postfixLogged finds the process that took the message. A process has one session at a time.
func postfixLogged(t *testing.T, log, id string) session {
	t.Helper()
	open := make(map[string]session) // by process id
	for line := range strings.Lines(log) {
		m := postfixLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		process, text := m[1], m[2]
		switch {
		case strings.HasPrefix(text, "connect from "):
			open[process] = session{}
		case strings.Contains(text, "TLS connection established from "):
			open[process] = session{tls: true, cipher: bulkCipher(text)}
		case strings.HasPrefix(text, id+": client="):
			s := open[process]
			s.id = id
			return s
		}
	}
	t.Fatalf("postfix's log knows no message %s", id)
	return session{}
}

// taken returns how many messages a receiver has taken into its queue, by its own log.
func taken(mta, log string) int {
	if mta == "exim" {
		return strings.Count(log, " <= ")
	}
	n := 0
	for line := range strings.Lines(log) {
		if m := postfixLine.FindStringSubmatch(line); m != nil && strings.Contains(m[2], ": client=") {
			n++
		}
	}
	return n
}

// multipartForm encodes the fields of a request.
func multipartForm(t *testing.T, parts []part) (*bytes.Buffer, string) {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for _, p := range parts {
		var f io.Writer
		var err error
		if p.filename != "" {
			f, err = w.CreateFormFile(p.name, p.filename)
		} else {
			f, err = w.CreateFormField(p.name)
		}
		if err == nil {
			_, err = f.Write([]byte(p.value))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &form, w.FormDataContentType()
}
