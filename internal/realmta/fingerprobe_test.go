package realmta

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/realdns"
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

// A resolv.conf has no place for a port.
func TestFingerRefusesAnotherPort(t *testing.T) {
	_, err := newFinger(t.TempDir(), "127.0.0.1:5353", nil)
	if err == nil || !strings.Contains(err.Error(), "53") {
		t.Errorf("got %v, want an error about the port", err)
	}
}
