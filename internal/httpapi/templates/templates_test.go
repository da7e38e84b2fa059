package templates

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/apitest"
	"github.com/sealpost/sealpost/internal/httpapi/contract"
	"github.com/sealpost/sealpost/internal/httpapi/door"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

func newRig(t testing.TB) *apitest.Rig {
	return apitest.Start(t, func(rg *apitest.Rig) []door.Route { return New(rg.Store).Routes() })
}

func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		rg := newRig(t)
		return func(key string, r *http.Request) *httptest.ResponseRecorder { return rg.Do(key, r) }
	})
}

func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range New(nil).Routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}

// A template of another domain or account answers as one that does not exist (SEC-59), and a key
// without the right answers as a wrong one.
func TestTemplatesOfOthersDoNotExist(t *testing.T) {
	rg := newRig(t)
	if status, body := rg.Call("admin", "POST", "/v3/example.com/templates", "name", "t", "template", "x", "tag", "v1"); status != 200 {
		t.Fatal(status, body)
	}
	for _, rt := range New(nil).Routes() {
		path := strings.NewReplacer("{name}", "t", "{tag}", "v1", "{new}", "v2").Replace(rt.Pattern)
		own, missing := strings.Replace(path, "{domain}", "example.com", 1), strings.Replace(path, "{domain}", "none.example", 1)
		for _, key := range []string{"other-admin", "sub-admin"} {
			status, body := rg.Call(key, rt.Method, own)
			if s, b := rg.Call(key, rt.Method, missing); status != 404 || s != 404 || body != b || !strings.Contains(b, `"domain not found"`) {
				t.Errorf("%s %s with %s: %d %s; a missing domain: %d %s", rt.Method, rt.Pattern, key, status, body, s, b)
			}
		}
		for _, key := range []string{"", "sending", "own-sending"} {
			if status, body := rg.Call(key, rt.Method, own); status != 401 {
				t.Errorf("%s %s with %q: %d %s", rt.Method, rt.Pattern, key, status, body)
			}
		}
		if strings.Contains(path, "/t") && rt.Pattern != "/v3/{domain}/templates" {
			status, body := rg.Call("other-admin", rt.Method, strings.Replace(path, "{domain}", "example.org", 1), "template", "x", "tag", "v9")
			if status != 404 || !strings.Contains(body, `"template not found"`) {
				t.Errorf("%s %s of a domain without it: %d %s", rt.Method, rt.Pattern, status, body)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	rg := newRig(t)
	for _, c := range []struct {
		params []string
		want   string
	}{
		{[]string{"name", "t", "template", strings.Repeat("x", 100<<10+1)}, "template size exceeds 100 KB limit"},
		{[]string{"name", strings.Repeat("n", 256)}, "'name' parameter must be text on one line of at most 255 octets"},
		{[]string{"name", "a\nb"}, "'name' parameter must be text on one line of at most 255 octets"},
		{[]string{"name", "t", "description", strings.Repeat("d", 1001)}, "'description' parameter must be text of at most 1000 characters"},
		{[]string{"name", "t", "template", "x", "headers", `{"Subject":"a\nb"}`}, "header 'Subject' must be text on one line of at most 998 octets"},
		{[]string{"name", "t", "template", "x", "headers", `{"Subject":"a","subject":"b"}`}, "header 'Subject' is given twice"},
	} {
		if status, body := rg.Call("admin", "POST", "/v3/example.com/templates", c.params...); status != 400 || !strings.Contains(body, c.want) {
			t.Errorf("%.60q: %d %s, want %s", c.params, status, body, c.want)
		}
	}
	for i := range 100 {
		if status, body := rg.Call("admin", "POST", "/v3/example.com/templates", "name", fmt.Sprint("t", i)); status != 200 {
			t.Fatal(status, body)
		}
	}
	if status, body := rg.Call("admin", "POST", "/v3/example.com/templates", "name", "more"); status != 400 || !strings.Contains(body, "template limit of 100 reached") {
		t.Error(status, body)
	}
	for i := range 40 {
		if status, body := rg.Call("admin", "POST", "/v3/example.com/templates/t0/versions", "tag", fmt.Sprint("v", i), "template", strings.Repeat("x", 100<<10)); status != 200 {
			t.Fatal(status, body)
		}
	}
	if status, body := rg.Call("admin", "POST", "/v3/example.com/templates/t0/versions", "tag", "more", "template", "x"); status != 400 || !strings.Contains(body, "version limit of 40 reached") {
		t.Error(status, body)
	}
}
