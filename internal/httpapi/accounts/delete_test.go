package accounts

import (
	"net/http/httptest"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/apitest"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// A sub-account takes its own domains along and nobody else's.
func TestDeleteLeavesOtherAccountsAlone(t *testing.T) {
	rg := newRig(t)
	sibling := store.Account{Name: "Sibling"}
	if err := rg.Store.CreateAccount(t.Context(), &sibling); err != nil {
		t.Fatal(err)
	}
	if err := rg.Store.CreateDomain(t.Context(), &store.Domain{Name: "sibling.example", AccountID: sibling.ID}); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("DELETE", "/v5/accounts/subaccounts", nil)
	r.Header.Set(door.OnBehalfOf, rg.SubAccount.Ref)
	if w := rg.Do("admin", r); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for name, there := range map[string]bool{apitest.Own: true, apitest.Other: true, "sibling.example": true, apitest.Sub: false} {
		if _, err := rg.Store.Domain(t.Context(), name); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := rg.Store.Account(t.Context(), sibling.ID); err != nil {
		t.Error(err)
	}
}

// The primary account has a name like others and is no sub-account by it: nobody can disable the
// whole server by these calls.
func TestPrimaryIsNoSubaccount(t *testing.T) {
	rg := newRig(t)
	primary, err := rg.Store.Account(t.Context(), store.PrimaryAccount)
	if err != nil || primary.Ref == "" {
		t.Fatal(primary, err)
	}
	const all = "/v5/accounts/subaccounts/"
	for path, method := range map[string]string{primary.Ref: "GET", primary.Ref + "/disable": "POST", primary.Ref + "/features": "PUT", primary.Ref + "/ip_pool": "PUT"} {
		if status, body := rg.Call("admin", method, all+path, "sending", `{"enabled":false}`, "pool_id", "x"); status != 404 {
			t.Errorf("%s %s: %d %s", method, path, status, body)
		}
	}
	for _, key := range []string{"admin", "operator"} {
		r := httptest.NewRequest("DELETE", "/v5/accounts/subaccounts", nil)
		r.Header.Set(door.OnBehalfOf, primary.Ref)
		if w := rg.Do(key, r); w.Code != 404 {
			t.Errorf("%s deletes the primary account: %d %s", key, w.Code, w.Body)
		}
	}
}
