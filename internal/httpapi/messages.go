package httpapi

import (
	"net/http"
	"strings"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/store"
)

// root answers the address that clients probe for a wrong base URL.
func (a *API) root(w http.ResponseWriter, _ *request) error {
	w.(*answer).text(http.StatusOK, "Mailgun Magnificent API")
	return nil
}

// A queued is the answer to an accepted message.
type queued struct {
	ID      string `json:"id"`
	Message string `json:"message"`
}

// sendMessage takes a message in pieces.
func (a *API) sendMessage(w http.ResponseWriter, r *request) error {
	if err := a.limitSending(w, r); err != nil {
		return err
	}
	f, err := a.readForm(r.Request, sendForm)
	if err != nil {
		return err
	}
	defer f.close()
	return a.accept(w, r, accept.Submission{
		Sender:  sender(r),
		To:      f.values("to"),
		Cc:      f.values("cc"),
		Bcc:     f.values("bcc"),
		Options: f.options(),
		Draft: &accept.Draft{
			From:        f.values("from"),
			Subject:     f.last("subject"),
			Text:        f.last("text"),
			HTML:        f.last("html"),
			AMP:         f.last("amp-html"),
			Attachments: f.composeFiles("attachment"),
			Inline:      f.composeFiles("inline"),
		},
	})
}

// sendMIME takes a message as it is.
func (a *API) sendMIME(w http.ResponseWriter, r *request) error {
	if err := a.limitSending(w, r); err != nil {
		return err
	}
	f, err := a.readForm(r.Request, mimeForm)
	if err != nil {
		return err
	}
	defer f.close()
	messages := f.composeFiles("message")
	switch {
	case len(f.values("to")) == 0:
		return badRequest("to parameter is missing")
	case len(messages) == 0:
		return badRequest("message parameter is missing")
	}
	content, err := messages[0].Open()
	if err != nil {
		return err
	}
	defer content.Close()
	return a.accept(w, r, accept.Submission{
		Sender:  sender(r),
		To:      f.values("to"),
		Options: f.options(),
		Raw:     content,
	})
}

// accept hands a submission on and tells the client what became of it.
func (a *API) accept(w http.ResponseWriter, r *request, s accept.Submission) error {
	receipt, err := a.deps.Acceptor.Accept(r.Context(), s)
	if err != nil {
		return err
	}
	return reply(w, queued{ID: "<" + receipt.MessageID + ">", Message: "Queued. Thank you."})
}

// sender says who submits.
func sender(r *request) accept.Sender {
	s := accept.Sender{
		Door:          accept.HTTP,
		Domain:        r.domain.Name,
		AccountWide:   r.who.domainID == 0,
		Authenticated: true,
		KeyID:         r.who.keyID,
	}
	if r.client.IsValid() {
		s.OriginIP = r.client.String()
	}
	return s
}

// cancelQueued gives up everything the domain has waiting.
func (a *API) cancelQueued(w http.ResponseWriter, r *request) error {
	if _, err := a.deps.Queue.Cancel(r.Context(), store.RowQuery{DomainID: r.domain.ID}); err != nil {
		return err
	}
	return reply(w, message{"done"})
}

// sendingQueues tells whether the domain's mail flows. Only a disabled domain's
// does not.
func (a *API) sendingQueues(w http.ResponseWriter, r *request) error {
	type disabled struct {
		Until  string `json:"until"`
		Reason string `json:"reason"`
	}
	type queue struct {
		IsDisabled bool     `json:"is_disabled"`
		Disabled   disabled `json:"disabled"`
	}
	q := queue{IsDisabled: r.domain.State == store.DomainDisabled}
	if q.IsDisabled {
		q.Disabled.Reason = r.domain.Settings.DisabledWhy
	}
	return reply(w, struct {
		Regular   queue `json:"regular"`
		Scheduled queue `json:"scheduled"`
	}{q, q})
}

// wantsMIME reports whether the client asks for a message as it is.
func wantsMIME(r *request) bool {
	return strings.Contains(strings.ToLower(r.Header.Get("Accept")), "message/rfc2822")
}
