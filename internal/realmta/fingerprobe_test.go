package realmta

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/realdns"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// Without a validating resolver Postfix does no DANE and says so in one warning among many lines. As a second
// opinion that would agree with anybody who does none either: it must be an error.
func TestFingerRefusesAResolverThatDoesNotValidate(t *testing.T) {
	world := realdns.Start(t, realdns.World{
		Zones:        []realdns.Zone{{Name: "recipient.test", Signed: true, Records: "mx A 127.0.0.1\n"}},
		NoValidation: true,
	})
	finger := NewFinger(t, world.Addr(), nil)
	r, err := finger.probe(t.Context(), "[mx.recipient.test]:1")
	if err == nil || !strings.Contains(err.Error(), "does not validate") {
		t.Errorf("got %v, want an error; %s\n%s", err, r, r.Output)
	}
}

// Probes at the same time keep their destinations apart.
func TestFingerProbesAtOnce(t *testing.T) {
	var records strings.Builder
	const many = 8
	for i := range many {
		fmt.Fprintf(&records, "mx%d A 127.0.0.1\n", i)
	}
	world := realdns.Start(t, realdns.World{Zones: []realdns.Zone{{Name: "recipient.test", Signed: true, Records: records.String()}}})
	finger := NewFinger(t, world.Addr(), smtptest.NewPKI(t).RootPEM)
	var probing sync.WaitGroup
	for i := range many {
		host := fmt.Sprintf("mx%d.recipient.test", i)
		probing.Go(func() {
			r, err := finger.probe(t.Context(), "["+host+"]:1")
			if err != nil || !strings.Contains(r.Failure, host) {
				t.Errorf("%s: the probe was of another host: %s, %v", host, r, err)
			}
		})
	}
	probing.Wait()
}

// A resolv.conf has no place for a port.
func TestFingerRefusesAnotherPort(t *testing.T) {
	_, err := newFinger(t.TempDir(), "127.0.0.1:5353", nil)
	if err == nil || !strings.Contains(err.Error(), "53") {
		t.Errorf("got %v, want an error about the port", err)
	}
}
