package ips

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/store"
)

// A pool is inherited by whom it was handed to, and by nobody else. A sub-account sees that one and its own.
func TestInheritedPools(t *testing.T) {
	rg := newRig(t)
	handed := store.Pool{Name: "handed", AccountID: store.PrimaryAccount}
	kept := store.Pool{Name: "kept", AccountID: store.PrimaryAccount}
	own := store.Pool{Name: "own", AccountID: rg.SubAccount.ID}
	for _, p := range []*store.Pool{&handed, &kept, &own} {
		if err := rg.Store.CreatePool(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rg.Store.UpdateAccount(t.Context(), rg.SubAccount.ID, func(a *store.Account) error {
		a.Settings.Pool = handed.ID
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]map[string]bool{"sub-admin": {"own": false, "handed": true}, "admin": {"handed": false, "kept": false}} {
		_, body := rg.Call(key, "GET", "/v3/ip_pools")
		if strings.Count(body, `"pool_id"`) != len(want) {
			t.Errorf("%s: %s", key, body)
		}
		for name, inherited := range want {
			_, pool, _ := strings.Cut(body, `"name":"`+name+`"`)
			pool, _, _ = strings.Cut(pool, "}")
			if strings.Contains(pool, `"is_inherited":true`) != inherited || pool == "" {
				t.Errorf("%s: pool %s: %q, inherited should be %v", key, name, pool, inherited)
			}
		}
	}
}
