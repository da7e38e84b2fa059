package accept

import (
	"context"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/store"
)

// discardStore reads contents and keeps nothing.
type discardStore struct{ *fakeStore }

func (d discardStore) Accept(_ context.Context, m *store.NewMessage) error {
	r, err := m.Content.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// countingStore counts what contents have for themselves.
type countingStore struct {
	*fakeStore
	own, size int64
}

func (c *countingStore) AcceptAll(_ context.Context, all []*store.NewMessage) error {
	for _, m := range all {
		c.size += m.Content.Size
		c.own += m.Content.Size
		for _, r := range m.Content.Runs {
			c.own -= r.Size
		}
	}
	return nil
}

// REL-15: what a large message costs in memory has nothing to do with its size. All
// that is ever allocated is counted here, which is more than what is held at a time.
func TestLargeMessagesAreStreamed(t *testing.T) {
	line := strings.Repeat("x", 76) + "\r\n"
	big := form()
	big.Draft.Attachments = []compose.File{zeros("big.bin", 6<<20)}
	raw := smtp("")
	raw.Raw = io.MultiReader(strings.NewReader("From: a@mg.example.com\r\n\r\n"), &repeat{line, 8 << 20})
	for name, s := range map[string]Submission{"form": big, "smtp": raw} {
		f := newFakeStore(t, domain("mg.example.com"))
		r := testRoom(t, f, nil)
		r.intake = discardStore{f}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := r.Accept(t.Context(), s); err != nil {
			t.Fatal(name, err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
			t.Errorf("%s: allocated %d KiB", name, got>>10)
		}
	}
}

// A repeat gives a text over and over, n octets in all.
type repeat struct {
	text string
	n    int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n+len(r.text) <= len(p) && r.n >= len(r.text) {
		n += copy(p[n:], r.text)
		r.n -= len(r.text)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
