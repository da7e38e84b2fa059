package apiclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"time"
)

// uploadTime bounds sending a message: the largest at less than 100 kB/s.
const uploadTime = 10 * time.Minute

// A Message is a message to be sent, in pieces.
type Message struct {
	From        string
	To, Cc, Bcc []string // addresses, with names or without
	Subject     string
	Text, HTML  string
	Headers     [][2]string // name and value of further header fields, in order
	Tags        []string
	TLS         TLSFlags
	REQUIRETLS  bool // marked with it (RFC 8689)
	TLSOptional bool // gets the field TLS-Required: No
	Attachments []Attachment
}

// An Attachment is a file of a message. Open is called once.
type Attachment struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// Queued is the answer to an accepted message.
type Queued struct {
	ID      string `json:"id"` // Message-ID, in angle brackets
	Message string `json:"message"`
}

// Send hands a message to the server. When it returns without an error the server
// has taken responsibility for it.
func (c *Client) Send(ctx context.Context, domain string, m Message) (Answer[Queued], error) {
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	written := make(chan error, 1)
	go func() {
		err := m.write(form)
		if err == nil {
			err = form.Close()
		}
		_ = writer.CloseWithError(err) // never fails
		written <- err
	}()
	a, err := do[Queued](ctx, c, call{
		method: http.MethodPost, path: []string{"v3", domain, "messages"},
		content: reader, contentType: form.FormDataContentType(), timeout: uploadTime,
	})
	_ = reader.Close() // a server that answered early leaves the writer waiting
	if werr := <-written; err != nil && werr != nil && !errors.Is(werr, io.ErrClosedPipe) {
		return a, werr // our own trouble with a file, which the transport only repeats
	}
	return a, err
}

// write writes the message as a form.
func (m Message) write(form *multipart.Writer) error {
	type field struct{ name, value string }
	fields := []field{{"from", m.From}}
	for _, list := range []struct {
		name   string
		values []string
	}{{"to", m.To}, {"cc", m.Cc}, {"bcc", m.Bcc}, {"o:tag", m.Tags}} {
		for _, v := range list.values {
			fields = append(fields, field{list.name, v})
		}
	}
	for _, f := range []field{{"subject", m.Subject}, {"text", m.Text}, {"html", m.HTML}} {
		if f.value != "" {
			fields = append(fields, f)
		}
	}
	for _, h := range m.Headers {
		fields = append(fields, field{"h:" + h[0], h[1]})
	}
	options := url.Values{}
	m.TLS.put(options, "o:require-tls", "o:skip-verification")
	if m.REQUIRETLS {
		options.Set("o:requiretls", "yes")
	}
	if m.TLSOptional {
		options.Set("o:tls-required", "no")
	}
	for name := range options {
		fields = append(fields, field{name, options.Get(name)})
	}
	for _, f := range fields {
		if err := form.WriteField(f.name, f.value); err != nil {
			return err
		}
	}
	for _, a := range m.Attachments {
		if err := a.write(form); err != nil {
			return err
		}
	}
	return nil
}

func (a Attachment) write(form *multipart.Writer) error {
	content, err := a.Open()
	if err != nil {
		return fmt.Errorf("open attachment %s: %w", a.Name, err)
	}
	defer content.Close()
	part, err := form.CreateFormFile("attachment", a.Name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(part, content); err != nil {
		return fmt.Errorf("send attachment %s: %w", a.Name, err)
	}
	return nil
}
