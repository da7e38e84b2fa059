package queue

import "time"

const (
	outageWindow = time.Minute
	// outageHops different next hops nobody answers at, within the window and with
	// none reached in between, mean that our own uplink is dead (REL-34).
	outageHops = 10
	// outageSelf different next hops whose attempts blame ourselves are enough.
	outageSelf = 3
	// outageBelief ends an outage that was only inferred: a server with nothing but
	// dead next hops left must give them up some day. It is armed again by reaching somebody.
	outageBelief = 24 * time.Hour

	outageProbe    = time.Second // between single probes, doubling
	outageMaxProbe = 30 * time.Second
)

// A finding is what an attempt says about reachability.
type finding uint8

const (
	tellsNothing finding = iota
	reached              // somebody answered
	noAnswer             // nobody answered at this next hop
	ownTrouble           // the attempt blames our resolver or network
)

// An outage recognises that it is us who cannot reach anybody. It is pure and is
// guarded by Queue.mu.
type outage struct {
	failed      map[string]failure // recent, at most a few more than outageHops
	lastReached time.Time
	down        bool
	inferred    bool // only from unanswered attempts
	since       time.Time
	disbelieved bool
	// While down a single probe goes out at a time.
	probing bool
	nextTry time.Time
	pause   time.Duration
}

type failure struct {
	at  time.Time
	own bool
}

// observe takes the finding of an attempt to a next hop and returns whether the
// outage began or ended with it.
func (o *outage) observe(nextHop string, f finding, now time.Time) (changed bool) {
	was := o.down
	switch f {
	case reached:
		*o = outage{lastReached: now}
	case noAnswer, ownTrouble:
		if o.failed == nil {
			o.failed = make(map[string]failure)
		}
		for name, at := range o.failed {
			if now.Sub(at.at) > outageWindow {
				delete(o.failed, name)
			}
		}
		if len(o.failed) < 2*outageHops {
			o.failed[nextHop] = failure{at: now, own: f == ownTrouble}
		}
		o.judge(now)
	case tellsNothing:
		if o.down {
			o.nextTry = now.Add(o.pause)
		}
	}
	return was != o.down
}

func (o *outage) judge(now time.Time) {
	if o.down {
		if o.inferred && now.Sub(o.since) > outageBelief {
			*o = outage{lastReached: o.lastReached, disbelieved: true}
			return
		}
		o.pause = min(2*o.pause, outageMaxProbe)
		o.nextTry = now.Add(o.pause)
		return
	}
	own := 0
	for _, f := range o.failed {
		if f.own {
			own++
		}
	}
	inferred := own < outageSelf
	if inferred && (len(o.failed) < outageHops || o.disbelieved) {
		return
	}
	o.down, o.inferred, o.since = true, inferred, now
	o.pause, o.nextTry = outageProbe, now.Add(outageProbe)
}

// blames reports whether a failed attempt that began at started is our own
// fault: then it does not count. An attempt's own claim is believed unless somebody
// else was reached while it ran, for then one next hop would wait for ever for what
// is its own trouble.
func (o *outage) blames(f finding, started time.Time) bool {
	switch f {
	case ownTrouble:
		return o.down || !o.lastReached.After(started)
	case noAnswer:
		return o.down
	}
	return false
}

// mayStart reports whether an attempt may start now. While down that is one
// probe at a time.
func (o *outage) mayStart(now time.Time) bool {
	return !o.down || (!o.probing && !now.Before(o.nextTry))
}
