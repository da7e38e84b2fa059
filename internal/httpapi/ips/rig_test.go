package ips

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/sealpost/sealpost/internal/egress"
	"github.com/sealpost/sealpost/internal/httpapi/apitest"
	"github.com/sealpost/sealpost/internal/httpapi/contract"
	"github.com/sealpost/sealpost/internal/httpapi/door"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

var ours = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}

// newRig starts the calls of this package over a real store.
func newRig(t testing.TB) *apitest.Rig {
	t.Helper()
	return apitest.Start(t, func(rg *apitest.Rig) []door.Route {
		s := rg.Store
		return New(Deps{Egress: egress.New(ours, s, s), Domains: s, Pools: s, Accounts: s}).Routes()
	})
}

func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		rg := newRig(t)
		return func(key string, r *http.Request) *httptest.ResponseRecorder { return rg.Do(key, r) }
	})
}

func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range New(Deps{}).Routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}
