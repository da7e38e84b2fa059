package domains

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sealpost/sealpost/internal/httpapi/door"
)

// keyPage cuts a page out of keys that are sorted by domain. A page is named by the key that it
// begins behind, or ends before, so that keys which come and go in between move no other one.
func keyPage(all []keyJSON, p door.Params, limit int, address string) ([]keyJSON, door.Paging) {
	begin, end := 0, min(limit, len(all))
	if token, err := base64.RawURLEncoding.DecodeString(p.Get("page")); err == nil && len(token) > 0 {
		at, found := slices.BinarySearchFunc(all, string(token[1:]), func(k keyJSON, at string) int { return strings.Compare(position(k), at) })
		switch {
		case token[0] == 'n':
			if found {
				at++
			}
			begin, end = at, min(at+limit, len(all))
		case token[0] == 'p':
			begin, end = max(at-limit, 0), at
		case token[0] == 'l':
			begin, end = max(len(all)-limit, 0), len(all)
		}
	}
	link := func(token string) string {
		q := url.Values{"limit": {strconv.Itoa(limit)}}
		for _, name := range []string{"signing_domain", "selector"} {
			if v := p.Get(name); v != "" {
				q.Set(name, v)
			}
		}
		if token != "" {
			q.Set("page", base64.RawURLEncoding.EncodeToString([]byte(token)))
		}
		return address + "?" + q.Encode()
	}
	items := append([]keyJSON{}, all[begin:end]...)
	links := door.Paging{First: link(""), Last: link("l"), Next: link("n\xff"), Previous: link("p\xff")}
	if len(items) > 0 { // of an empty page, the next one is empty and the one before is the last
		links.Next, links.Previous = link("n"+position(items[len(items)-1])), link("p"+position(items[0]))
	}
	return items, links
}

// position is where a key is in the list: keys of one domain are in the order of their selectors.
func position(k keyJSON) string { return k.SigningDomain + "/" + k.Selector }
