package egress

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

func addrs(s string) []netip.Addr {
	var list []netip.Addr
	for _, f := range strings.Fields(s) {
		list = append(list, netip.MustParseAddr("192.0.2."+f))
	}
	return list
}

func show(list []netip.Addr) string {
	var b []string
	for _, a := range list {
		b = append(b, strings.TrimPrefix(a.String(), "192.0.2."))
	}
	return strings.Join(b, " ")
}

// Four addresses; .3 is in a pool of the primary account, .4 in one that a sub-account
// was handed. .9 is in the first pool too, and no longer this server's.
func TestSources(t *testing.T) {
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	kept := store.Pool{Name: "kept", IPs: addrs("3 9")}
	handed := store.Pool{Name: "handed", IPs: addrs("4")}
	empty := store.Pool{Name: "empty", IPs: addrs("9")}
	for _, p := range []*store.Pool{&kept, &handed, &empty} {
		must(s.CreatePool(t.Context(), p))
	}
	sub := store.Account{Name: "sub", Settings: store.AccountSettings{Pool: handed.ID}}
	bare := store.Account{Name: "bare"}
	must(s.CreateAccount(t.Context(), &sub))
	must(s.CreateAccount(t.Context(), &bare))
	with := New(addrs("1 2 3 4"), s, s)
	without := New(nil, s, s)
	of := func(account int64, ips, pool string) store.Domain {
		return store.Domain{AccountID: account, Settings: store.DomainSettings{IPs: addrs(ips), Pool: pool}}
	}
	for name, c := range map[string]struct {
		book     *Book
		d        store.Domain
		ip, pool string
		want     string // "no": not found
	}{
		"nothing set":                       {with, of(1, "", ""), "", "", "1 2"},
		"the domain's addresses":            {with, of(1, "2 3", ""), "", "", "2 3"},
		"the domain's pool":                 {with, of(1, "", kept.ID), "", "", "3"},
		"the domain's pool is gone":         {with, of(1, "", "gone"), "", "", "1 2"},
		"the domain's pool has nothing":     {with, of(1, "", empty.ID), "", "", "1 2"},
		"the domain's addresses are gone":   {with, of(1, "9", ""), "", "", "1 2"},
		"asked for":                         {with, of(1, "2", ""), "192.0.2.3", "", "3"},
		"asked for, as IPv4 in IPv6":        {with, of(1, "", ""), "::ffff:192.0.2.3", "", "3"},
		"asked for, not ours":               {with, of(1, "", ""), "192.0.2.9", "", "no"},
		"asked for, nonsense":               {with, of(1, "", ""), "x", "", "no"},
		"a pool asked for":                  {with, of(1, "2", ""), "", kept.ID, "3"},
		"an empty pool asked for":           {with, of(1, "", ""), "", empty.ID, "no"},
		"no such pool":                      {with, of(1, "", ""), "", "gone", "no"},
		"the sub-account's own":             {with, of(sub.ID, "", handed.ID), "", "", "4"},
		"the sub-account asks for its pool": {with, of(sub.ID, "", ""), "", handed.ID, "4"},
		"the sub-account asks for another":  {with, of(sub.ID, "", ""), "", kept.ID, "no"},
		"the sub-account, an address":       {with, of(sub.ID, "", ""), "192.0.2.4", "", "4"},
		"the sub-account, a shared one":     {with, of(sub.ID, "", ""), "192.0.2.1", "", "1"},
		"the sub-account, another's":        {with, of(sub.ID, "", ""), "192.0.2.3", "", "no"},
		"a bare sub-account, another's":     {with, of(bare.ID, "", ""), "192.0.2.4", "", "no"},
		"a bare sub-account":                {with, of(bare.ID, "", ""), "", "", "1 2"},
		"no addresses":                      {without, of(1, "2", kept.ID), "", "", ""},
		"no addresses, asked for":           {without, of(1, "", ""), "192.0.2.1", "", "no"},
		"no addresses, pool asked for":      {without, of(1, "", ""), "", kept.ID, "no"},
	} {
		got, err := c.book.Sources(t.Context(), c.d, c.ip, c.pool)
		if c.want == "no" {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			continue
		}
		if err != nil || show(got) != c.want {
			t.Errorf("%s: got %s, %v; want %s", name, show(got), err, c.want)
		}
	}
	for account, want := range map[int64]string{1: "1 2 3 4", sub.ID: "1 2 4", bare.ID: "1 2"} {
		if got, err := with.Usable(t.Context(), account); err != nil || show(got) != want {
			t.Errorf("account %d may use %s, %v; want %s", account, show(got), err, want)
		}
	}
	if _, err := with.Usable(t.Context(), 99); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an account that does not exist: %v", err)
	}
}

func TestSharedIsAnywhereWhereNothingIsSetAside(t *testing.T) {
	if got := shared(addrs("1 2"), nil); got != nil {
		t.Errorf("without pools: %v", got)
	}
	if got := shared(addrs("1 2"), []store.Pool{{IPs: addrs("1 2")}}); len(got) != 0 {
		t.Errorf("with everything in pools: %v", got)
	}
}
