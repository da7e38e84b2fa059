package webhooks

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// Limits.
const (
	maxURLs        = 3   // for one kind of event, of a domain or of an account
	maxDescription = 255 // octets
)

// reason is the error of a domain's webhooks.
func reason(format string, args ...any) error {
	return &door.Problem{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...), Body: struct {
		Reason string `json:"Reason"`
	}{fmt.Sprintf(format, args...)}}
}

// described is an error that says what is the matter.
func described(status int, format string, args ...any) error {
	return &door.Problem{Status: status, Message: fmt.Sprintf(format, args...), Body: struct {
		Description string `json:"Description"`
	}{fmt.Sprintf(format, args...)}}
}

// field is the error of one parameter of an account's webhooks.
func field(name, value string) error {
	return &door.Problem{Status: http.StatusBadRequest, Message: name + ": " + value, Body: struct {
		Field string `json:"Field"`
		Value string `json:"Value"`
	}{name, value}}
}

// known reports whether webhooks know events of that name.
func known(kind string) bool {
	_, ok := event.TypeOfHook(kind)
	return ok
}

// urlsOf returns the URLs that are told of a kind of event, in their order.
func urlsOf(list []store.Webhook, kind string) []string {
	var urls []string
	for _, h := range list {
		if slices.Contains(h.Kinds, kind) {
			urls = append(urls, h.URL)
		}
	}
	return urls
}

// overfull returns a kind of event that has more URLs than may be; empty for none.
func overfull(list []store.Webhook) string {
	for _, kind := range event.Hooks() {
		if len(urlsOf(list, kind)) > maxURLs {
			return kind
		}
	}
	return ""
}

// add makes the URL be told of the kind as well. A domain has one webhook for each URL.
func add(list []store.Webhook, url, kind string) []store.Webhook {
	i := slices.IndexFunc(list, func(h store.Webhook) bool { return h.URL == url })
	if i < 0 {
		return append(list, store.Webhook{URL: url, Kinds: []string{kind}})
	}
	if !slices.Contains(list[i].Kinds, kind) {
		list[i].Kinds = append(list[i].Kinds, kind)
	}
	return list
}

// without returns the list with nobody told of the kind.
func without(list []store.Webhook, kind string) []store.Webhook {
	for i := range list {
		list[i].Kinds = slices.DeleteFunc(list[i].Kinds, func(k string) bool { return k == kind })
	}
	return compact(list)
}

// compact drops webhooks that are told of nothing.
func compact(list []store.Webhook) []store.Webhook {
	return slices.DeleteFunc(list, func(h store.Webhook) bool { return len(h.Kinds) == 0 })
}

// createKind is what POST of a domain's webhooks does, version 3: one kind of event, which
// must not have a webhook yet.
func createKind(list []store.Webhook, kind string, urls []string) ([]store.Webhook, error) {
	for _, url := range urlsOf(list, kind) {
		if slices.Contains(urls, url) {
			return nil, exists(kind, url)
		}
	}
	if len(urlsOf(list, kind)) > 0 {
		return nil, reason("Webhook for event type '%s' already exists", kind)
	}
	return putKind(list, kind, urls), nil
}

// updateKind replaces the URLs of a kind that has some.
func updateKind(list []store.Webhook, kind string, urls []string) ([]store.Webhook, error) {
	if len(urlsOf(list, kind)) == 0 {
		return nil, errNoKind
	}
	return putKind(list, kind, urls), nil
}

// putKind makes exactly the URLs be told of the kind. Webhooks that stay keep their
// identity, so that what waits for them is not lost.
func putKind(list []store.Webhook, kind string, urls []string) []store.Webhook {
	for i := range list {
		list[i].Kinds = slices.DeleteFunc(list[i].Kinds, func(k string) bool { return k == kind })
	}
	for _, url := range urls {
		list = add(list, url, kind)
	}
	return compact(list)
}

func exists(kind, url string) error {
	return reason("Webhook for event type '%s' with URL '%s' already exists", kind, url)
}

// createURL is what POST does in version 4: one URL, several kinds of events.
func createURL(list []store.Webhook, url string, kinds []string) ([]store.Webhook, error) {
	for _, kind := range kinds {
		if slices.Contains(urlsOf(list, kind), url) {
			return nil, exists(kind, url)
		}
		list = add(list, url, kind)
	}
	return full(list)
}

// updateURL makes a URL that has a webhook be told of exactly these kinds.
func updateURL(list []store.Webhook, url string, kinds []string) ([]store.Webhook, error) {
	i := slices.IndexFunc(list, func(h store.Webhook) bool { return h.URL == url })
	if i < 0 {
		return nil, errNoURL
	}
	list[i].Kinds = kinds
	return full(list)
}

func full(list []store.Webhook) ([]store.Webhook, error) {
	if kind := overfull(list); kind != "" {
		return nil, reason("unable to add more than %d urls for event type %s", maxURLs, kind)
	}
	return list, nil
}

// deleteURLs removes URLs; the text is a list with commas, which URLs may have as well.
func deleteURLs(list []store.Webhook, text string) ([]store.Webhook, error) {
	drop := map[string]bool{}
	for _, h := range list {
		if h.URL == text || strings.Contains(","+text+",", ","+h.URL+",") {
			drop[h.URL] = true
		}
	}
	if len(drop) == 0 {
		return nil, errNoURL
	}
	return slices.DeleteFunc(list, func(h store.Webhook) bool { return drop[h.URL] }), nil
}

var (
	errNoKind = door.NotFound("Webhook not found")
	errNoURL  = described(http.StatusNotFound, "Webhook not found")
)

// admit checks an account's webhook against its others: one URL once for each kind, and
// not too many URLs.
func admit(others []store.Webhook, h store.Webhook) error {
	for _, kind := range h.Kinds {
		urls := urlsOf(others, kind)
		switch {
		case slices.Contains(urls, h.URL):
			return described(http.StatusConflict, "url %s already exists for event type %s", h.URL, kind)
		case len(urls) >= maxURLs:
			return described(http.StatusConflict, "unable to add more than %d urls for event type %s", maxURLs, kind)
		}
	}
	return nil
}

// byKind returns what version 3 and 4 show: the URLs of each kind that has some.
func byKind(list []store.Webhook) map[string]urlsJSON {
	shown := map[string]urlsJSON{}
	for _, kind := range event.Hooks() {
		if urls := urlsOf(list, kind); len(urls) > 0 {
			shown[kind] = urlsJSON{urls}
		}
	}
	return shown
}

type urlsJSON struct {
	URLs []string `json:"urls"`
}
