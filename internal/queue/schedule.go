package queue

import (
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// Defaults of [Schedule].
const (
	DefaultLifetime = 8 * time.Hour
	DefaultSpread   = 0.1
	// NoMXWait is the least time before a recipient domain without a mail host is
	// looked at again, where the schedule has waits as long as this.
	NoMXWait = 15 * time.Minute
	// SelfWait is the pause after trouble of our own.
	SelfWait = time.Minute
)

// lastChance is the least time between an attempt and the one after expiry.
const lastChance = time.Minute

// DefaultWaits returns the waits between attempts that are used where nothing
// else is set.
func DefaultWaits() []time.Duration {
	return []time.Duration{10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}
}

// A Schedule says when a deferred recipient is tried again and how long that goes
// on. The zero value is the server's default without jitter.
type Schedule struct {
	// Waits are the times between an attempt and the next; the last repeats. Empty
	// means [DefaultWaits]. Waits below one second count as one second.
	Waits []time.Duration
	// Lifetime gives the expiry of recipients that carry none, counted from acceptance.
	// 0 means [DefaultLifetime].
	Lifetime time.Duration
	// Jitter, in [0,1), says where within the spread this job's retry falls. All
	// recipients of a job share it, so that they meet again in one transaction.
	Jitter float64
	// Spread is the largest part of a wait that jitter adds; 0 means none.
	Spread float64
	// ClockDoubted forbids expiry: the wall clock jumped, and what looks old may
	// be young (REL-27).
	ClockDoubted bool
}

// For returns the schedule as the sending domain's settings change it.
func (s Schedule) For(d mail.DomainDelivery) Schedule {
	if len(d.Retry) > 0 {
		s.Waits = d.Retry
	}
	if d.Lifetime > 0 {
		s.Lifetime = d.Lifetime
	}
	return s
}

// step returns the plain wait after the given attempt, counted from 1.
func (s Schedule) step(attempt int) time.Duration {
	waits := s.Waits
	if len(waits) == 0 {
		waits = DefaultWaits()
	}
	return max(waits[min(max(attempt, 1), len(waits))-1], time.Second)
}

// longest returns the wait that repeats at the end.
func (s Schedule) longest() time.Duration { return s.step(1 << 30) }

// spread returns what jitter adds to a wait.
func (s Schedule) spread(wait time.Duration) time.Duration {
	return time.Duration(float64(wait) * max(s.Spread, 0) * min(max(s.Jitter, 0), 1))
}

// expires returns when a recipient's time is over. The expiry that was fixed when
// the message was accepted rules: a sender may have asked for less.
func (s Schedule) expires(j mail.Job, r mail.Recipient) time.Time {
	if !r.Expires.IsZero() {
		return r.Expires
	}
	if s.Lifetime > 0 {
		return j.Accepted.Add(s.Lifetime)
	}
	return j.Accepted.Add(DefaultLifetime)
}

// wait returns the time until the next attempt. Near the end of the lifetime it
// is cut so that the last attempt is made right after it, and not up to one long
// step later.
func (s Schedule) wait(j mail.Job, r mail.Recipient, noMX bool, now time.Time) time.Duration {
	wait := s.step(r.Attempt)
	if noMX {
		// Nobody's server is spared by jitter here, and clients know the value 900.
		wait = max(wait, min(NoMXWait, s.longest()))
	} else {
		wait += s.spread(wait)
	}
	if left := s.expires(j, r).Sub(now); left >= 0 && left < wait {
		end := left + time.Second + min(s.spread(wait), lastChance)
		wait = min(wait, max(end, lastChance))
	}
	return wait
}

// outOfPatience reports whether an attempt that ended for want of the required TLS
// was the last one that the sending domain wants. Giving up at the first failure needs
// no clock, so it does not mind one in doubt.
func (s Schedule) outOfPatience(j mail.Job, ended time.Time) bool {
	switch after := j.Settings.GiveUpAfter; {
	case after == 0:
		return false
	case after < 0:
		return true
	default:
		return !s.ClockDoubted && !ended.Before(j.Accepted.Add(after))
	}
}

// untilGiveUp cuts a wait so that the attempt after which the sending domain gives
// up is made right when its patience ends.
func untilGiveUp(j mail.Job, wait time.Duration, now time.Time) time.Duration {
	if j.Settings.GiveUpAfter <= 0 {
		return wait
	}
	left := j.Accepted.Add(j.Settings.GiveUpAfter).Sub(now)
	if left < 0 || left >= wait {
		return wait
	}
	return min(wait, max(left+time.Second, lastChance))
}
