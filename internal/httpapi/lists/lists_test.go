package lists

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/apitest"
	"github.com/sealpost/sealpost/internal/httpapi/contract"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

func newRig(t testing.TB) *apitest.Rig {
	return apitest.Start(t, func(rg *apitest.Rig) []door.Route { return New(rg.Store, rg.Store).Routes() })
}

func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		rg := newRig(t)
		return func(key string, r *http.Request) *httptest.ResponseRecorder { return rg.Do(key, r) }
	})
}

func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range New(nil, nil).Routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}

// A list of another account answers as one that does not exist (SEC-59), and so does a domain to
// make one at.
func TestListsOfOthersDoNotExist(t *testing.T) {
	rg := newRig(t)
	if status, body := rg.Call("admin", "POST", "/v3/lists", "address", "dev@example.com"); status != 200 {
		t.Fatal(status, body)
	}
	for _, rt := range New(nil, nil).Routes() {
		if !strings.Contains(rt.Pattern, "{address}") {
			continue
		}
		path := strings.Replace(rt.Pattern, "{member}", "ann@one.test", 1)
		own, missing := strings.Replace(path, "{address}", "dev@example.com", 1), strings.Replace(path, "{address}", "none@example.com", 1)
		status, body := rg.Call("sub-admin", rt.Method, own, "members", "[]")
		s, b := rg.Call("sub-admin", rt.Method, missing, "members", "[]")
		if status != 404 || s != 404 || strings.ReplaceAll(body, "dev@", "none@") != b {
			t.Errorf("%s %s: %d %s; a missing one: %d %s", rt.Method, rt.Pattern, status, body, s, b)
		}
		for _, key := range []string{"", "sending", "own-admin", "own-sending"} {
			if status, body := rg.Call(key, rt.Method, own); status != 401 {
				t.Errorf("%s %s with %q: %d %s", rt.Method, rt.Pattern, key, status, body)
			}
		}
	}
	foreign, a := rg.Call("sub-admin", "POST", "/v3/lists", "address", "x@example.com")
	missing, b := rg.Call("sub-admin", "POST", "/v3/lists", "address", "x@none.example")
	if foreign != 404 || missing != 404 || strings.ReplaceAll(a, "example.com", "none.example") != b {
		t.Errorf("%d %s; %d %s", foreign, a, missing, b)
	}
	if _, body := rg.Call("sub-admin", "GET", "/v3/lists"); !strings.Contains(body, `"total_count":0`) {
		t.Error(body)
	}
	if _, body := rg.Call("sub-admin", "GET", "/v3/lists/pages"); !strings.Contains(body, `"items":[]`) {
		t.Error(body)
	}
	if _, body := rg.Call("sub-admin", "GET", "/v3/lists?address=dev@example.com"); !strings.Contains(body, `"total_count":0`) {
		t.Error(body)
	}
	// The operator sees the lists of all accounts; one does not move to another account all the same.
	if status, body := rg.Call("operator", "PUT", "/v3/lists/dev@example.com", "address", "dev@sub.example"); status != 404 || !strings.Contains(body, "Domain not found: sub.example") {
		t.Error(status, body)
	}
	if status, body := rg.Call("operator", "POST", "/v3/lists", "address", "y@sub.example"); status != 200 {
		t.Error(status, body)
	}
	if status, _ := rg.Call("sub-admin", "GET", "/v3/lists/y@sub.example"); status != 200 {
		t.Error("a list that the operator makes is not its domain's account's")
	}
}

// A large upload is whole or not there at all.
func TestUploads(t *testing.T) {
	rg := newRig(t)
	rg.Call("admin", "POST", "/v3/lists", "address", "dev@example.com")
	var b strings.Builder
	b.WriteString("name,Address,vars\n")
	for i := range 2500 {
		fmt.Fprintf(&b, "N%d,a%d@one.test,\"{\"\"n\"\":%d}\"\n", i, i, i)
	}
	if status, body := rg.Call("admin", "POST", "/v3/lists/dev@example.com/members.csv", "members", b.String()+"x,no address,\n"); status != 400 || !strings.Contains(body, "line 2502") {
		t.Fatal(status, body)
	}
	if _, body := rg.Call("admin", "GET", "/v3/lists/dev@example.com"); !strings.Contains(body, `"members_count":0`) {
		t.Error(body)
	}
	if status, body := rg.Call("admin", "POST", "/v3/lists/dev@example.com/members.csv", "members", b.String(), "subscribed", "no"); status != 200 || !strings.Contains(body, `"members_count":2500`) {
		t.Error(status, body)
	}
	if _, body := rg.Call("admin", "GET", "/v3/lists/dev@example.com/members/A7@one.test"); !strings.Contains(body, `"name":"N7","vars":{"n":7},"subscribed":false`) {
		t.Error(body)
	}
	many, _ := json.Marshal(make([]string, 1001))
	if status, body := rg.Call("admin", "POST", "/v3/lists/dev@example.com/members.json", "members", string(many)); status != 400 || !strings.Contains(body, "more than 1000 members") {
		t.Error(status, body)
	}
}

func FuzzParseCSV(f *testing.F) {
	f.Add([]byte("address,name,vars,subscribed\na@b.test,\"A, B\",\"{\"\"k\"\":1}\",no\n"))
	f.Add([]byte(`["a@b.test",{"address":"c@d.test","vars":{"x":[1]},"subscribed":"yes"}]`))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, parse := range []func([]byte, bool) ([]store.ListMember, error){
			func(b []byte, s bool) ([]store.ListMember, error) { return parseCSV(b, s) }, func(b []byte, s bool) ([]store.ListMember, error) { return parseJSON(b, s) },
		} {
			list, err := parse(content, true)
			if err != nil {
				continue
			}
			for _, m := range list {
				if m.Address == "" || m.Address != strings.ToLower(m.Address) || !json.Valid([]byte(m.Vars)) {
					t.Errorf("%+v", m)
				}
			}
		}
	})
}
