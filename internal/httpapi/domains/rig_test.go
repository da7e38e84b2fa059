package domains

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/domaindns"
	"github.com/sealpost/sealpost/internal/egress"
	"github.com/sealpost/sealpost/internal/httpapi/apitest"
	"github.com/sealpost/sealpost/internal/httpapi/contract"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// A zone has the DNS records that it is given: "TYPE name" to values. "!TYPE name" fails.
type zone struct {
	mu      sync.Mutex
	records map[string][]string
}

func (z *zone) find(kind, name string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if _, fails := z.records["!"+kind+" "+name]; fails {
		return nil, errors.New("server failure")
	}
	return z.records[kind+" "+name], nil
}

func (z *zone) set(key string, values ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[key] = values
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	return z.find("TXT", name)
}
func (z *zone) LookupCNAME(_ context.Context, name string) ([]string, error) {
	return z.find("CNAME", name)
}

func (z *zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	found, err := z.find("MX", name)
	var list []*net.MX
	for _, f := range found {
		list = append(list, &net.MX{Host: f, Pref: 10})
	}
	return list, err
}

// A queue counts what it is told to give up.
type queue struct {
	mu      sync.Mutex
	waiting map[int64]int // by domain
}

func (q *queue) Cancel(_ context.Context, r store.RowQuery) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.waiting[r.DomainID]
	delete(q.waiting, r.DomainID)
	return n, nil
}

// A rig is the calls of this package over a real store.
type rig struct {
	*apitest.Rig
	zone  *zone
	queue *queue
}

func newRig(t testing.TB) *rig {
	t.Helper()
	rg := &rig{queue: &queue{waiting: map[int64]int{}}, zone: &zone{records: map[string][]string{
		"TXT s1._domainkey.example.com":  {"v=DKIM1; k=rsa; p=KEY"},
		"TXT example.com":                {"some-verification=1", "v=spf1 a:mx.example.net -all"},
		"CNAME email.example.com":        {"mx.example.net."},
		"TXT example.org":                {"v=spf1 mx -all"},
		"!TXT s1._domainkey.example.org": nil,
	}}}
	ours := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	rg.Rig = apitest.Start(t, func(a *apitest.Rig) []door.Route {
		s := a.Store
		return New(Config{DNS: domaindns.Config{Hostname: "mx.example.net"}}, Deps{
			Domains: s, Credentials: s, Accounts: s, Messages: s, Queue: rg.queue, Egress: egress.New(ours, s, s), Resolver: rg.zone,
			HashPassword: func(p string) (string, error) { return "hash of " + p, nil }, Log: a.Log,
		}).Routes()
	})
	return rg
}

func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		rg := newRig(t)
		return func(key string, r *http.Request) *httptest.ResponseRecorder { return rg.Do(key, r) }
	})
}

func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range New(Config{}, Deps{}).Routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}

func has(t *testing.T, body string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(body, w) {
			t.Errorf("no %s in %s", w, body)
		}
	}
}
