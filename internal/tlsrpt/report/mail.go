package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Mail is the message that carries a report (RFC 8460 section 5.3).
type Mail struct {
	From, To  mail.Address
	Submitter string // domain of who reports
	Domain    string // policy domain
	MessageID string // without angle brackets
	Date      time.Time
	Filename  string
	// Report is what Gzip holds, for the part that people read. Its ID stands in the
	// subject as well and must have the form of a Message-ID without angle brackets.
	Report Document
	Gzip   []byte
}

// Bytes writes the message. The signature is added by whoever accepts it: without a valid
// DKIM signature receivers must ignore the report (section 3).
func (m Mail) Bytes() []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	boundary := "=_tlsrpt_" + boundaryOf(m.MessageID)
	from := m.From.String()
	if name := m.Report.Organization; name != "" && name != m.From.Domain {
		from = mail.Mailbox{Name: name, Address: m.From}.String()
	}
	line("From: %s", from)
	line("To: %s", m.To)
	line("Date: %s", m.Date.UTC().Format(time.RFC1123Z))
	line("Message-ID: <%s>", m.MessageID)
	line("Subject: Report Domain: %s\r\n Submitter: %s\r\n Report-ID: <%s>", m.Domain, m.Submitter, m.Report.ID)
	line("TLS-Report-Domain: %s", m.Domain)
	line("TLS-Report-Submitter: %s", m.Submitter)
	// RFC 8689 section 5: what is reported must not keep the report from arriving.
	line("TLS-Required: No")
	line("Auto-Submitted: auto-generated")
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=%q", boundary)
	line("")
	line("--%s", boundary)
	line("Content-Type: text/plain; charset=utf-8")
	line("Content-Transfer-Encoding: quoted-printable")
	line("")
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(m.text())) // into memory
	_ = q.Close()
	line("")
	line("--%s", boundary)
	line("Content-Type: %s; name=%q", MediaTypeGzip, m.Filename)
	line("Content-Transfer-Encoding: base64")
	line("Content-Disposition: attachment; filename=%q", m.Filename)
	line("")
	encoded := base64.StdEncoding.EncodeToString(m.Gzip)
	for len(encoded) > 76 {
		line("%s", encoded[:76])
		encoded = encoded[76:]
	}
	line("%s", encoded)
	line("--%s--", boundary)
	return b.Bytes()
}

// text says for people what the attachment says for programs.
func (m Mail) text() string {
	var ok, failed Count
	for _, p := range m.Report.Policies {
		ok += p.Summary.Successes
		failed += p.Summary.Failures
	}
	return fmt.Sprintf("This is a TLS report (RFC 8460) about mail that %s sent to\r\n%s on %s (UTC).\r\n\r\n"+
		"TLS sessions that succeeded: %d\r\nTLS sessions that failed:    %d\r\n\r\n"+
		"The attachment has the details. You receive it because of the TXT record at\r\n%s.\r\n"+
		"Questions: %s\r\n",
		m.Submitter, m.Domain, m.Report.Dates.Start.Format(time.DateOnly), ok, failed, RecordName(m.Domain), m.Report.Contact)
}

// boundaryOf keeps letters and digits.
func boundaryOf(id string) string {
	var b []byte
	for i := range len(id) {
		if c := id[i]; c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b = append(b, c)
		}
		if len(b) == 32 {
			break
		}
	}
	return string(b)
}
