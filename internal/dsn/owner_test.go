package dsn

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/store"
)

// Who registers a domain anew is not told what its last owner sent, nor to whom.
func TestNoNoticeInTheNameOfADomainsNextOwner(t *testing.T) {
	for name, again := range map[string]bool{"gone": false, "made again": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := r.started()
			r.accept(submission("ann@one.test"))
			r.settle("one.test", 550, "no such user")
			r.must(r.store.DeleteDomain(t.Context(), sending))
			next := store.Domain{Name: sending, State: store.DomainActive}
			if again {
				r.must(r.store.CreateDomain(t.Context(), &next))
			}
			r.catchUp(f)
			if n := r.pending(); n != 0 {
				t.Errorf("%d notices", n)
			}
			if again {
				page, err := r.store.Events(t.Context(), store.EventQuery{DomainID: next.ID, Limit: 10})
				r.must(err)
				if len(page.Items) != 0 {
					t.Errorf("the next owner's log tells of %+v", page.Items[0])
				}
			}
			if got := f.Stats(); got != (Stats{Unnotified: 1}) || !strings.Contains(r.logged(), "sender left without notice") {
				t.Errorf("stats %+v, log\n%s", got, r.logged())
			}
		})
	}
}
