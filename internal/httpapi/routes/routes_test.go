package routes

import (
	"encoding/json"
	"flag"
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

// A route of another account answers as one that does not exist (SEC-59).
func TestRoutesOfOthersDoNotExist(t *testing.T) {
	rg := newRig(t)
	_, body := rg.Call("admin", "POST", "/v3/routes", "expression", "catch_all()")
	var created struct{ Route struct{ ID string } }
	if err := json.Unmarshal([]byte(body), &created); err != nil || len(created.Route.ID) != 24 {
		t.Fatal(body, err)
	}
	missing := strings.Repeat("0", 24)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		status, body := rg.Call("sub-admin", method, "/v3/routes/"+created.Route.ID)
		if s, b := rg.Call("sub-admin", method, "/v3/routes/"+missing); status != 404 || s != 404 || body != b {
			t.Errorf("%s: %d %s; of a missing one: %d %s", method, status, body, s, b)
		}
		for _, key := range []string{"", "sending", "own-admin", "own-sending"} {
			if status, body := rg.Call(key, method, "/v3/routes/"+created.Route.ID); status != 401 {
				t.Errorf("%s with %q: %d %s", method, key, status, body)
			}
		}
	}
	if status, body := rg.Call("sub-admin", "GET", "/v3/routes/match", "address", "a@b.test"); status != 404 {
		t.Error(status, body)
	}
	if _, body := rg.Call("sub-admin", "GET", "/v3/routes"); !strings.Contains(body, `"total_count":0`) {
		t.Error(body)
	}
	if status, _ := rg.Call("operator", "GET", "/v3/routes/"+created.Route.ID); status != 200 {
		t.Error("the operator does not see it")
	}
}
