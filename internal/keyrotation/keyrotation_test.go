package keyrotation

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dkimkeys"
	"github.com/sealpost/sealpost/internal/domaindns"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// A zone has TXT records, and may be out of reach.
type zone struct {
	mu    sync.Mutex
	txt   map[string]string
	down  bool
	asked int
}

func (z *zone) publish(name, value string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.txt[name] = value
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	if z.down {
		return nil, errors.New("no answer")
	}
	if v, ok := z.txt[name]; ok {
		return []string{v}, nil
	}
	return nil, nil
}

func (*zone) LookupCNAME(context.Context, string) ([]string, error) { return nil, nil }
func (*zone) LookupMX(context.Context, string) ([]*net.MX, error)   { return nil, nil }

func selectors(keys []store.DKIMKey) []string {
	var list []string
	for _, k := range keys {
		list = append(list, k.Selector)
	}
	return list
}

// A whole rotation over months: the new key waits for its record, however long, signs when it is
// there, and the old one is listed for a week more.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		first, err := dkimkeys.Generate("k", dkimkeys.Ed25519, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		d := store.Domain{Name: "example.com", Settings: store.DomainSettings{DKIMRotation: 30 * 24 * time.Hour}}
		if err := dkimkeys.Add(&d, first); err != nil {
			t.Fatal(err)
		}
		dkimkeys.Seen(&d, "k", time.Now())
		quiet := store.Domain{Name: "quiet.example", DKIM: []store.DKIMKey{{Selector: "q", Public: "k=rsa; p=x", Active: true}}}
		for _, d := range []*store.Domain{&d, &quiet} {
			if err := s.CreateDomain(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		z := &zone{txt: map[string]string{"k._domainkey.example.com": first.Public}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			New(s, z, domaindns.Config{Hostname: "mx.example.net"}, slog.New(slog.DiscardHandler)).Run(ctx)
			close(done)
		}()
		state := func(after time.Duration, signs, all []string) store.Domain {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			d, err := s.Domain(t.Context(), "example.com")
			if err != nil {
				t.Fatal(err)
			}
			if got := selectors(d.SigningKeys()); !slices.Equal(got, signs) {
				t.Errorf("%v signs, want %v", got, signs)
			}
			if got := selectors(d.DKIM); !slices.Equal(got, all) {
				t.Errorf("there are %v, want %v", got, all)
			}
			return d
		}
		state(29*24*time.Hour, []string{"k"}, []string{"k"})
		z.mu.Lock()
		asked := z.asked
		z.mu.Unlock()
		if asked != 0 {
			t.Errorf("%d questions while nothing waited", asked)
		}
		next := "k-" + time.Now().Add(24*time.Hour).UTC().Format("20060102")
		d = state(24*time.Hour+Every, []string{"k"}, []string{"k", next})
		state(20*24*time.Hour, []string{"k"}, []string{"k", next}) // nobody publishes it
		z.mu.Lock()
		z.down = true
		z.mu.Unlock()
		z.publish(next+"._domainkey.example.com", d.DKIM[1].Public)
		state(time.Hour, []string{"k"}, []string{"k", next}) // it cannot be seen
		z.mu.Lock()
		z.down = false
		z.mu.Unlock()
		state(Every, []string{next}, []string{"k", next})
		state(dkimkeys.KeepRetired-Every, []string{next}, []string{"k", next})
		state(2*Every, []string{next}, []string{next})
		cancel()
		<-done
	})
}
