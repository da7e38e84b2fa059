package accounts

import (
	"context"
	"flag"
	"io"
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

// An idle queue has nothing to give up.
type idle struct{}

func (idle) Cancel(context.Context, store.RowQuery) (int, error) { return 0, nil }

// newRig starts the calls of this package over a real store.
func newRig(t testing.TB) *apitest.Rig {
	t.Helper()
	return apitest.Start(t, func(rg *apitest.Rig) []door.Route {
		s := rg.Store
		return New(Deps{Accounts: s, Domains: s, Pools: s, Queue: idle{}}).Routes()
	})
}

func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		rg := newRig(t)
		pool := store.Pool{Name: "Transactional"}
		if err := rg.Store.CreatePool(t.Context(), &pool); err != nil {
			t.Fatal(err)
		}
		return func(key string, r *http.Request) *httptest.ResponseRecorder {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			// Contract files know the primary account's pool by this name.
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), "pool_id=POOL", "pool_id="+pool.ID, 1)))
			return rg.Do(key, r)
		}
	})
}

func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range New(Deps{}).Routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}
