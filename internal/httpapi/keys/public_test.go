package keys

import (
	"testing"

	"github.com/sealpost/sealpost/internal/store"
)

// A new public key replaces that of its own account.
func TestPublicKeysOfOthersStay(t *testing.T) {
	rg := newRig(t)
	count := func(account int64) (n int) {
		t.Helper()
		keys, err := rg.Store.ListKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if k.Kind == store.KindPublic && k.AccountID == account {
				n++
			}
		}
		return n
	}
	for range 2 {
		for _, key := range []string{"sub-admin", "admin"} {
			if status, body := rg.Call(key, "POST", "/v1/keys/public"); status != 200 {
				t.Fatal(status, body)
			}
		}
	}
	if own, sub := count(store.PrimaryAccount), count(rg.SubAccount.ID); own != 1 || sub != 1 {
		t.Errorf("%d public keys of the primary account, %d of the sub-account", own, sub)
	}
}
