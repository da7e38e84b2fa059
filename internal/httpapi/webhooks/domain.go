package webhooks

import (
	"net/http"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// allJSON is the answer that shows all webhooks of a domain.
type allJSON struct {
	Webhooks map[string]urlsJSON `json:"webhooks"`
}

// oneJSON is the answer about one kind of event.
type oneJSON struct {
	Message string   `json:"message,omitempty"`
	Webhook urlsJSON `json:"webhook"`
}

// list lists the webhooks of the domain by the type of event.
func (a *API) list(w http.ResponseWriter, r *door.Request) error {
	list, err := a.deps.Hooks.WebhooksOf(r.Context(), r.Domain.AccountID, r.Domain.ID)
	if err != nil {
		return err
	}
	return door.Reply(w, allJSON{byKind(list)})
}

// kindOf reads the kind of event that a path or parameter names.
func kindOf(name string) (string, error) {
	if !known(name) {
		return "", reason("'%s' is not a valid webhook name: it must be one of %v", door.Shown(name), event.Hooks())
	}
	return name, nil
}

// create creates the webhook of the domain for one type of event, with up to three URLs.
func (a *API) create(w http.ResponseWriter, r *door.Request) error {
	p, urls, err := a.given(r)
	if err != nil {
		return err
	}
	kind, err := kindOf(p.Get("id"))
	if err != nil {
		return err
	}
	if err := few(kind, urls); err != nil {
		return err
	}
	if err := a.check(r, "", urls...); err != nil {
		return err
	}
	if _, err := a.change(r, urls, func(list []store.Webhook) ([]store.Webhook, error) { return createKind(list, kind, urls) }); err != nil {
		return err
	}
	return door.Reply(w, oneJSON{"Webhook has been created", urlsJSON{urls}})
}

// given reads the parameters that all changes have, and the URLs of one kind of event.
func (a *API) given(r *door.Request) (door.Params, []string, error) {
	p, err := r.Params()
	if err != nil {
		return p, nil, err
	}
	if err := r.Reason(p); err != nil {
		return p, nil, err
	}
	urls, err := a.urls(r, p)
	return p, urls, err
}

// show shows the URLs that are told of one type of event.
func (a *API) show(w http.ResponseWriter, r *door.Request) error {
	kind, err := kindOf(r.PathValue("name"))
	if err != nil {
		return err
	}
	list, err := a.deps.Hooks.WebhooksOf(r.Context(), r.Domain.AccountID, r.Domain.ID)
	if err != nil {
		return err
	}
	urls := urlsOf(list, kind)
	if len(urls) == 0 {
		return errNoKind
	}
	return door.Reply(w, oneJSON{Webhook: urlsJSON{urls}})
}

// update replaces the URLs that are told of one type of event.
func (a *API) update(w http.ResponseWriter, r *door.Request) error {
	kind, err := kindOf(r.PathValue("name"))
	if err != nil {
		return err
	}
	_, urls, err := a.given(r)
	if err != nil {
		return err
	}
	if err := few(kind, urls); err != nil {
		return err
	}
	if err := a.check(r, "", urls...); err != nil {
		return err
	}
	if _, err := a.change(r, urls, func(list []store.Webhook) ([]store.Webhook, error) { return updateKind(list, kind, urls) }); err != nil {
		return err
	}
	return door.Reply(w, oneJSON{"Webhook has been updated", urlsJSON{urls}})
}

// few refuses more URLs than one kind of event may have.
func few(kind string, urls []string) error {
	if len(urls) > maxURLs {
		return reason("unable to add more than %d urls for event type %s", maxURLs, kind)
	}
	return nil
}

// remove deletes the webhook for one type of event, with all its URLs.
func (a *API) remove(w http.ResponseWriter, r *door.Request) error {
	kind, err := kindOf(r.PathValue("name"))
	if err != nil {
		return err
	}
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	var urls []string
	if _, err := a.change(r, nil, func(list []store.Webhook) ([]store.Webhook, error) {
		if urls = urlsOf(list, kind); len(urls) == 0 {
			return nil, errNoKind
		}
		return without(list, kind), nil
	}); err != nil {
		return err
	}
	return door.Reply(w, oneJSON{"Webhook has been deleted", urlsJSON{urls}})
}

// A testJSON is what came of a test call.
type testJSON struct {
	Code    int     `json:"code"`    // status of the answer; 0: there was none
	Message string  `json:"message"` // why there was no answer, or its text
	Seconds float64 `json:"seconds"`
}

// test calls a URL with an event that never happened, and tells what it answered.
func (a *API) test(w http.ResponseWriter, r *door.Request) error {
	kind, err := kindOf(r.PathValue("name"))
	if err != nil {
		return err
	}
	_, urls, err := a.given(r)
	if err != nil {
		return err
	}
	if len(urls) > 1 {
		return reason("invalid parameters: a test is for one url")
	}
	if err := a.check(r, "", urls[0]); err != nil {
		return err
	}
	answer, took, err := a.deps.Room.Test(r.Context(), r.Domain, kind, urls[0])
	v := testJSON{Code: answer.Status, Message: answer.Text, Seconds: took.Seconds()}
	switch {
	case err != nil && r.Context().Err() != nil:
		return err
	case err != nil:
		v.Message = err.Error()
	case v.Code >= 300 && v.Code < 400:
		v.Message = http.StatusText(v.Code) + " (redirects are not followed)"
	case v.Message == "":
		v.Message = http.StatusText(v.Code)
	}
	return door.Reply(w, v)
}

// v4 reads what version 4 takes: one URL and its kinds of events.
func (a *API) v4(r *door.Request) (url string, types []string, err error) {
	p, urls, err := a.given(r)
	if err != nil {
		return "", nil, err
	}
	if len(urls) > 1 {
		return "", nil, reason("invalid parameters: url must be given once")
	}
	if types = kinds(p); len(types) == 0 {
		return "", nil, reason("invalid parameters: event_types is required")
	}
	for _, k := range types {
		if !known(k) {
			return "", nil, reason("invalid parameters: event_type '%s' is invalid", door.Shown(k))
		}
	}
	return urls[0], types, a.check(r, "invalid parameters: ", urls[0])
}

// createURL adds a URL that is told of the given types of events.
func (a *API) createURL(w http.ResponseWriter, r *door.Request) error {
	url, types, err := a.v4(r)
	if err != nil {
		return err
	}
	list, err := a.change(r, []string{url}, func(list []store.Webhook) ([]store.Webhook, error) { return createURL(list, url, types) })
	if err != nil {
		return err
	}
	return door.Reply(w, allJSON{byKind(list)})
}

// updateURL replaces the types of events that a URL is told of.
func (a *API) updateURL(w http.ResponseWriter, r *door.Request) error {
	url, types, err := a.v4(r)
	if err != nil {
		return err
	}
	list, err := a.change(r, []string{url}, func(list []store.Webhook) ([]store.Webhook, error) { return updateURL(list, url, types) })
	if err != nil {
		return err
	}
	return door.Reply(w, allJSON{byKind(list)})
}

// removeURLs deletes URLs from the webhooks of the domain: one, or a list with commas.
func (a *API) removeURLs(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	text := p.Get("url")
	if text == "" {
		return reason("invalid parameters: url is required")
	}
	list, err := a.change(r, nil, func(list []store.Webhook) ([]store.Webhook, error) { return deleteURLs(list, text) })
	if err != nil {
		return err
	}
	return door.Reply(w, allJSON{byKind(list)})
}
