package app

import (
	"github.com/sealpost/sealpost/internal/httpapi/logs"
	"github.com/sealpost/sealpost/internal/httpapi/numbers"
	"github.com/sealpost/sealpost/internal/tally"
)

// buildNumbers makes the room that counts events, and the calls that answer from what it
// counted and from the events themselves.
func (a *app) buildNumbers() {
	a.follow("numbers", tally.New(tally.Roles{Journal: a.tail, Numbers: a.store, Domains: a.store}, a.cfg.Retention.Events, a.log))
	a.surfaces = append(a.surfaces, numbers.New(a.store, a.store, numbers.Config{}), logs.New(a.store, a.store, logs.Config{}))
}
