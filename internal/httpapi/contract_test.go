package httpapi

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/contract"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// The contract, one case a file; the names of keys are in rigKeys.
func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		rg := newRig(t)
		return func(key string, r *http.Request) *httptest.ResponseRecorder { return rg.do(key, r) }
	})
}

// Every route of the table is in the contract.
func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range newRig(t).api.routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}
