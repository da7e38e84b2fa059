package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A follower is a room that follows the event log. Events that it has not dealt with are
// not dropped.
type follower interface {
	room
	// Consumed returns a moment such that every event before it was dealt with; the zero time until
	// the follower has found its place.
	Consumed() time.Time
}

// A namedFollower is one as metrics call it.
type namedFollower struct {
	follower
	name string
}

// follow adds a room that follows the event log.
func (a *app) follow(name string, f follower) {
	a.rooms = append(a.rooms, f)
	a.followers = append(a.followers, namedFollower{f, name})
}

// followerMetrics declares how late followers are. One that stands still keeps all events from being
// dropped, so somebody must see it before the disk is full. started is when the process did.
func (a *app) followerMetrics(started time.Time) []prometheus.Collector {
	var list []prometheus.Collector
	for _, f := range a.followers {
		list = append(list, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sealpost_follower_lag_seconds",
			Help: "Age of the oldest event that numbers, lists of bounces or webhooks may not have dealt with yet. Normal is below 10, for webhooks as long as the slowest target is behind; " +
				"look into it at 300. No event is dropped before it was dealt with.",
			ConstLabels: prometheus.Labels{"follower": f.name},
		}, func() float64 { return lag(time.Now(), started, f.Consumed()).Seconds() }))
	}
	return list
}

// lag returns how late a follower is. One that has not found its place is late since the start.
func lag(now, started, consumed time.Time) time.Duration {
	if consumed.IsZero() {
		consumed = started
	}
	return max(now.Sub(consumed), 0)
}
