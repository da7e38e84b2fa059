package accounts

import (
	"net/http/httptest"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// Only the primary account acts for others. A sub-account's key may name its own account, and every other
// one, the primary one too, does not exist for it.
func TestSubAccountsActForThemselvesOnly(t *testing.T) {
	rg := newRig(t)
	sibling := store.Account{Name: "Sibling"}
	if err := rg.Store.CreateAccount(t.Context(), &sibling); err != nil {
		t.Fatal(err)
	}
	primary, err := rg.Store.Account(t.Context(), store.PrimaryAccount)
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]int{"": 200, rg.SubAccount.Ref: 200, sibling.Ref: 404, primary.Ref: 404, "0": 404} {
		r := httptest.NewRequest("GET", "/v2/ip_whitelist", nil)
		r.Header.Set(door.OnBehalfOf, ref)
		if w := rg.Do("sub-admin", r); w.Code != want {
			t.Errorf("for %q: %d %s, want %d", ref, w.Code, w.Body, want)
		}
	}
}
