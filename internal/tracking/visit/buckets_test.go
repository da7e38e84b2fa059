package visit

import (
	"net/netip"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	b := newBuckets[string](3, 10*time.Second)
	now := time.Unix(1_000_000, 0)
	if n := count(b, "a", now); n != 3 {
		t.Errorf("%d at once", n)
	}
	if n := count(b, "b", now); n != 3 {
		t.Errorf("%d at once for another", n)
	}
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{9 * time.Second, 0}, {time.Second, 1}, {25 * time.Second, 2}, {time.Hour, 3}} {
		now = now.Add(step.wait)
		if n := count(b, "a", now); n != step.want {
			t.Errorf("%d after %s more, want %d", n, step.wait, step.want)
		}
	}
}

// count takes as many as there are.
func count(b *buckets[string], k string, now time.Time) int {
	n := 0
	for b.has(k, now) && b.take(k, now) {
		n++
	}
	return n
}

func TestBucketsForget(t *testing.T) {
	b := newBuckets[int](1, time.Second)
	now := time.Unix(1_000_000, 0)
	for i := range maxBuckets {
		b.take(i, now)
	}
	b.take(-1, now) // no key is full again: all are forgotten
	if len(b.spent) != 1 {
		t.Errorf("remembers %d", len(b.spent))
	}
	for i := range maxBuckets - 1 {
		b.take(i, now.Add(time.Minute))
	}
	b.take(-2, now.Add(time.Minute)) // the first is
	if len(b.spent) != maxBuckets {
		t.Errorf("remembers %d", len(b.spent))
	}
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{"192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64"} {
		if got := network(netip.MustParseAddr(address)); got.String() != want {
			t.Errorf("%s: got %s", address, got)
		}
	}
	if network(netip.Addr{}) != (netip.Prefix{}) {
		t.Error("a client that is not known has a network")
	}
}
