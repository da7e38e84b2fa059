package httpapi

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// errNoMessage is the answer for a message that never was, is another domain's, or
// whose content was dropped: they look alike (SEC-59).
var errNoMessage = door.NotFound("Message not found")

// findStored finds the message that the path names, and opens its content.
func (a *API) findStored(r *door.Request) (store.Message, io.ReadCloser, error) {
	id, err := mail.ParseID(r.PathValue("key"))
	if err != nil {
		return store.Message{}, nil, errNoMessage
	}
	m, err := a.deps.Messages.Message(r.Context(), r.Domain.ID, id)
	if err != nil {
		return store.Message{}, nil, door.Missing(err, errNoMessage)
	}
	c, err := a.deps.Messages.Content(r.Context(), r.Domain.ID, id)
	if err != nil {
		return store.Message{}, nil, door.Missing(err, errNoMessage)
	}
	content, err := c.Open()
	if err != nil {
		return store.Message{}, nil, door.Missing(err, errNoMessage)
	}
	return m, content, nil
}

// storedMessage shows a stored message, taken apart, or as it is with Accept: message/rfc2822.
func (a *API) storedMessage(w http.ResponseWriter, r *door.Request) error {
	m, content, err := a.findStored(r)
	if err != nil {
		return err
	}
	defer content.Close()
	if wantsMIME(r) {
		return writeRaw(w, m, content)
	}
	view, err := compose.ReadView(content)
	if err != nil {
		return fmt.Errorf("read message %s: %w", m.ID, err)
	}
	return door.Reply(w, viewJSON(m, view, r.Base))
}

// viewJSON lays out a message for reading: its own header fields under the names
// clients know, then what was found in it.
func viewJSON(m store.Message, v *compose.View, base string) map[string]any {
	headers := make([][2]string, len(v.Headers))
	out := map[string]any{}
	for i, h := range v.Headers {
		headers[i] = [2]string{h.Name, h.Value}
		switch name := canonical(h.Name); name {
		case "From", "To", "Cc", "Subject", "Message-Id", "Mime-Version", "Content-Type", "Date", "Reply-To":
			if _, seen := out[name]; !seen {
				out[name] = h.Value
			}
		}
	}
	url := event.StorageURL(base, m.Meta.Domain, m.ID) + "/attachments/"
	attachments := make([]map[string]any, len(v.Attachments))
	ids := map[string]string{}
	for i, att := range v.Attachments {
		at := url + strconv.Itoa(i)
		attachments[i] = map[string]any{"url": at, "name": att.Name, "content-type": att.ContentType, "size": att.Size}
		if att.ContentID != "" {
			ids["<"+att.ContentID+">"] = at
		}
	}
	for name, value := range map[string]any{
		"sender": m.Meta.Sender, "from": m.Meta.From, "recipients": strings.Join(m.Meta.Recipients, ", "), "subject": m.Meta.Subject,
		"body-plain": v.BodyPlain, "body-html": v.BodyHTML,
		"stripped-text": v.StrippedText, "stripped-html": v.StrippedHTML, "stripped-signature": v.StrippedSignature,
		"message-headers": headers, "attachments": attachments, "content-id-map": ids,
	} {
		out[name] = value
	}
	return out
}

// canonical spells a header field's name as Mailgun does: Message-Id, Mime-Version.
func canonical(name string) string {
	parts := strings.Split(strings.ToLower(name), "-")
	for i, p := range parts {
		if p != "" {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "-")
}

// writeRaw shows a message as it is, inside JSON, without holding it in memory.
func writeRaw(w http.ResponseWriter, m store.Message, content io.Reader) error {
	head, err := json.Marshal(struct {
		Recipients string `json:"recipients"`
		Sender     string `json:"sender"`
		From       string `json:"from"`
		Subject    string `json:"subject"`
	}{strings.Join(m.Meta.Recipients, ", "), m.Meta.Sender, m.Meta.From, m.Meta.Subject})
	if err != nil {
		return err
	}
	first := bufio.NewReaderSize(content, 32<<10)
	if _, err := first.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read message %s: %w", m.ID, err) // while it can still be a clean 500
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	out := bufio.NewWriter(w)
	_, _ = out.Write(head[:len(head)-1]) // errors show at Flush
	_, _ = out.WriteString(`,"body-mime":"`)
	if err := writeJSONText(out, first); err != nil {
		return fmt.Errorf("write message %s: %w", m.ID, err)
	}
	_, _ = out.WriteString("\"}\n")
	return out.Flush()
}

// writeJSONText writes r as the inside of a JSON string. Octets that are not
// UTF-8 become U+FFFD, because JSON has no way to hold them.
func writeJSONText(w io.Writer, r io.Reader) error {
	buf := make([]byte, 32<<10)
	kept := 0 // octets of a character that the last read cut
	for {
		n, err := io.ReadFull(r, buf[kept:])
		chunk := buf[:kept+n]
		end := len(chunk)
		last := err != nil
		if !last {
			end = wholeRunes(chunk)
		}
		text, merr := json.Marshal(string(chunk[:end]))
		if merr != nil {
			return merr
		}
		if _, werr := w.Write(text[1 : len(text)-1]); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if last {
			return err
		}
		kept = copy(buf, chunk[end:])
	}
}

// wholeRunes returns how many octets of b end with a whole character.
func wholeRunes(b []byte) int {
	for back := 1; back <= utf8.UTFMax && back <= len(b); back++ {
		if i := len(b) - back; utf8.RuneStart(b[i]) {
			if utf8.FullRune(b[i:]) {
				return len(b)
			}
			return i
		}
	}
	return len(b)
}

// storedAttachment sends one attachment of a stored message. It is foreign: browsers are told to
// keep it and to run nothing of it.
func (a *API) storedAttachment(w http.ResponseWriter, r *door.Request) error {
	n, err := strconv.ParseUint(r.PathValue("n"), 10, 15)
	if err != nil {
		return door.NotFound("Attachment not found")
	}
	m, content, err := a.findStored(r)
	if err != nil {
		return err
	}
	defer content.Close()
	err = compose.ExtractAttachment(content, int(n), func(att compose.Attachment) (io.Writer, error) {
		h := w.Header()
		h.Set("Content-Type", safeMediaType(att.ContentType))
		h.Set("Content-Disposition", disposition(att.Name))
		h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
		w.WriteHeader(http.StatusOK)
		return w, nil
	})
	if errors.Is(err, compose.ErrNoAttachment) {
		return door.NotFound("Attachment not found")
	}
	if err != nil {
		return fmt.Errorf("send attachment of message %s: %w", m.ID, err)
	}
	return nil
}

// safeMediaType returns a media type that can stand in a header field.
func safeMediaType(s string) string {
	media, _, err := mime.ParseMediaType(s)
	if err != nil || !strings.Contains(media, "/") {
		return "application/octet-stream"
	}
	return media
}

// disposition names the file for the client (RFC 6266). FormatMediaType encodes
// what is not ASCII, and refuses what cannot be encoded.
func disposition(name string) string {
	if s := mime.FormatMediaType("attachment", map[string]string{"filename": name}); name != "" && s != "" {
		return s
	}
	return "attachment"
}

// resendMessage sends a stored message once more, to other recipients. What its
// sender said about TLS holds for it still. The control fields that said so did not
// travel, so it comes from the envelope; a field TLS-Required is in the content.
func (a *API) resendMessage(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if p.Get("to") == "" {
		return door.BadRequest("to parameter is missing")
	}
	m, content, err := a.findStored(r)
	if err != nil {
		return err
	}
	defer content.Close()
	return a.accept(w, r, accept.Submission{
		Sender: sender(r), To: p.Values["to"], Raw: content,
		Options: flagOptions(m.Envelope.TLS), RequireTLS: m.Envelope.RequireTLS,
	})
}

// flagOptions returns the parameters that set the message level of the two flags.
func flagOptions(f mail.TLSFlags) []compose.Field {
	var list []compose.Field
	for name, t := range map[string]mail.Tri{"o:require-tls": f.RequireTLS, "o:skip-verification": f.SkipVerification} {
		if t != mail.Unset {
			list = append(list, compose.Field{Name: name, Value: t.String()})
		}
	}
	return list
}
