package webhook

import (
	"fmt"
	"net/http"
	"time"

	"github.com/sealpost/sealpost/internal/outhttp"
)

// An Outcome is what came of an attempt. The words are stored and shown.
type Outcome string

const (
	Delivered Outcome = "delivered" // the target took the event
	Rejected  Outcome = "rejected"  // it does not want the event, ever
	Deferred  Outcome = "deferred"  // it is tried again
	Failed    Outcome = "failed"    // that was the last attempt
)

// judge says what an answer means: 200 is done, 406 is a final no, and everything else,
// other successes and redirects included, is tried again.
func judge(a outhttp.Answer, err error) Outcome {
	switch {
	case err != nil:
		return Deferred
	case a.Status == http.StatusOK:
		return Delivered
	case a.Status == http.StatusNotAcceptable:
		return Rejected
	}
	return Deferred
}

// complaint says in words why an attempt was deferred.
func complaint(a outhttp.Answer, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case a.Status >= 300 && a.Status < 400:
		return fmt.Sprintf("status %d: redirects are not followed", a.Status)
	}
	return fmt.Sprintf("status %d, not 200", a.Status)
}

// A Schedule is how long to wait after the first, second, … attempt that was deferred.
// After the wait behind the last one nothing follows.
type Schedule []time.Duration

// After returns the wait after so many attempts; false if there is no further one.
func (s Schedule) After(attempts int) (time.Duration, bool) {
	if attempts < 1 || attempts > len(s) {
		return 0, false
	}
	return s[attempts-1], true
}

// DefaultSchedule is the one that Mailgun publishes: about eight hours.
func DefaultSchedule() Schedule {
	return Schedule{5 * time.Minute, 10 * time.Minute, 15 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}
}
