package dnssec

import (
	"errors"
	"testing"
	"time"
)

// Every step that a server's status can take: what could not be found out changes no
// state, and one odd answer does not either.
func TestStatusAfterProbe(t *testing.T) {
	silence := errors.New("silence")
	tests := []struct {
		name  string
		from  ServerStatus
		probe probeResult
		want  ServerStatus // Probed aside
		wait  time.Duration
	}{
		{"first success", ServerStatus{State: Untested}, probeSigned, ServerStatus{State: Validates}, time.Hour},
		{"still fine", ServerStatus{State: Validates}, probeSigned, ServerStatus{State: Validates}, time.Hour},
		{"no answer yet", ServerStatus{State: Untested}, probeUnknown, ServerStatus{State: Untested, Err: silence}, time.Minute},
		{"no answer any more", ServerStatus{State: Validates}, probeUnknown, ServerStatus{State: Validates, Err: silence}, time.Minute},
		{"no answer from a broken one", ServerStatus{State: NotValidating}, probeUnknown, ServerStatus{State: NotValidating, Err: silence}, time.Minute},
		{"first answer unsigned", ServerStatus{State: Untested}, probeUnsigned, ServerStatus{State: Untested, Doubt: true}, 10 * time.Second},
		{"second answer unsigned", ServerStatus{State: Untested, Doubt: true}, probeUnsigned, ServerStatus{State: NotValidating}, 5 * time.Minute},
		{"turns: first", ServerStatus{State: Validates}, probeUnsigned, ServerStatus{State: Validates, Doubt: true}, 10 * time.Second},
		{"turns: second", ServerStatus{State: Validates, Doubt: true}, probeUnsigned, ServerStatus{State: NotValidating}, 5 * time.Minute},
		{"doubt removed", ServerStatus{State: Validates, Doubt: true}, probeSigned, ServerStatus{State: Validates}, time.Hour},
		{"doubt stays", ServerStatus{State: Validates, Doubt: true}, probeUnknown, ServerStatus{State: Validates, Doubt: true, Err: silence}, 10 * time.Second},
		{"still broken", ServerStatus{State: NotValidating}, probeUnsigned, ServerStatus{State: NotValidating}, 5 * time.Minute},
		{"mended", ServerStatus{State: NotValidating, Err: silence}, probeSigned, ServerStatus{State: Validates}, time.Hour},
	}
	start, now := time.Unix(1000, 0), time.Unix(2000, 0)
	for _, tt := range tests {
		tt.from.Since = start
		tt.want.Since = start
		if tt.want.State != tt.from.State {
			tt.want.Since = now
		}
		if tt.probe != probeUnknown {
			tt.want.Probed = now
		}
		got := tt.from.after(tt.probe, silence, now)
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
		if w := got.wait(); w != tt.wait {
			t.Errorf("%s: next probe in %s, want %s", tt.name, w, tt.wait)
		}
	}
}
