package webhook_test

import (
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/webhook"
)

// Calls of the API may come while the room still begins: the readings of what is
// configured take turns. It is the race detector that would tell.
func TestCallsWhileTheRoomBegins(t *testing.T) {
	r := newRig(t)
	r.hook(store.PrimaryAccount, r.domain.ID, one, "delivered")
	for range 20 {
		r.halt()
		r.start()
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				list, err := r.room.Targets(t.Context(), webhook.Scope{AccountID: store.PrimaryAccount})
				if err != nil || len(list) != 1 {
					t.Errorf("%d targets, %v", len(list), err)
				}
			})
		}
		callers.Wait()
	}
}
