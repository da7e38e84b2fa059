package httpapi

import (
	"net/http"
	"strings"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// root answers the address that clients probe for a wrong base URL.
func (a *API) root(w http.ResponseWriter, _ *door.Request) error {
	return door.ReplyText(w, "Mailgun Magnificent API")
}

// A queued is the answer to an accepted message.
type queued struct {
	ID      string `json:"id"`
	Message string `json:"message"`
}

// sendMessage sends a message, given in pieces: sender, recipients, texts, attachments.
func (a *API) sendMessage(w http.ResponseWriter, r *door.Request) error {
	if err := a.limitSending(w, r); err != nil {
		return err
	}
	f, err := r.Form(door.SendForm())
	if err != nil {
		return err
	}
	defer f.Close()
	return a.accept(w, r, accept.Submission{
		Sender:  sender(r),
		To:      f.Values("to"),
		Cc:      f.Values("cc"),
		Bcc:     f.Values("bcc"),
		Options: f.Options(),
		Draft: &accept.Draft{
			From:        f.Values("from"),
			Subject:     f.Last("subject"),
			Text:        f.Last("text"),
			HTML:        f.Last("html"),
			AMP:         f.Last("amp-html"),
			Attachments: f.Files("attachment"),
			Inline:      f.Files("inline"),
		},
	})
}

// sendMIME sends a message that is given as it is (RFC 5322 and MIME).
func (a *API) sendMIME(w http.ResponseWriter, r *door.Request) error {
	if err := a.limitSending(w, r); err != nil {
		return err
	}
	f, err := r.Form(door.MIMEForm())
	if err != nil {
		return err
	}
	defer f.Close()
	messages := f.Files("message")
	switch {
	case len(f.Values("to")) == 0:
		return door.BadRequest("to parameter is missing")
	case len(messages) == 0:
		return door.BadRequest("message parameter is missing")
	}
	content, err := messages[0].Open()
	if err != nil {
		return err
	}
	defer content.Close()
	return a.accept(w, r, accept.Submission{
		Sender:  sender(r),
		To:      f.Values("to"),
		Options: f.Options(),
		Raw:     content,
	})
}

// accept hands a submission on and tells the client what became of it.
func (a *API) accept(w http.ResponseWriter, r *door.Request, s accept.Submission) error {
	receipt, err := a.deps.Acceptor.Accept(r.Context(), s)
	if err != nil {
		return err
	}
	return door.Reply(w, queued{ID: "<" + receipt.MessageID + ">", Message: "Queued. Thank you."})
}

// sender says who submits.
func sender(r *door.Request) accept.Sender {
	s := accept.Sender{
		Door:          accept.HTTP,
		Domain:        r.Domain.Name,
		AccountWide:   r.Who.DomainID == 0, // of the account that owns the domain
		Authenticated: true,
		KeyID:         r.Who.KeyID,
	}
	if r.Client.IsValid() {
		s.OriginIP = r.Client.String()
	}
	return s
}

// sendingQueues tells whether the domain's mail flows. Only a disabled domain's does not.
func (a *API) sendingQueues(w http.ResponseWriter, r *door.Request) error {
	type disabled struct {
		Until  string `json:"until"`
		Reason string `json:"reason"`
	}
	type queue struct {
		IsDisabled bool     `json:"is_disabled"`
		Disabled   disabled `json:"disabled"`
	}
	q := queue{IsDisabled: r.Domain.State == store.DomainDisabled}
	if q.IsDisabled {
		q.Disabled.Reason = r.Domain.Settings.DisabledWhy
	}
	return door.Reply(w, struct {
		Regular   queue `json:"regular"`
		Scheduled queue `json:"scheduled"`
	}{q, q})
}

// wantsMIME reports whether the client asks for a message as it is.
func wantsMIME(r *door.Request) bool {
	return strings.Contains(strings.ToLower(r.Header.Get("Accept")), "message/rfc2822")
}
