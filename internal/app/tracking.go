package app

import (
	"context"

	surface "github.com/sealpost/sealpost/internal/httpapi/tracking"
	"github.com/sealpost/sealpost/internal/tracking"
	"github.com/sealpost/sealpost/internal/tracking/visit"
)

// buildTracking builds what marks up letters and what answers those who follow their links, and adds its
// calls to the API.
func (a *app) buildTracking(ctx context.Context) (*tracking.Tracker, error) {
	keys, err := tracking.OpenKeyring(ctx, a.store)
	if err != nil {
		return nil, err
	}
	hosts := tracking.NewHosts(a.cfg.HTTP.PublicURL)
	visitor := visit.New(keys, hosts, visit.Roles{
		Domains: a.store, Messages: a.store, Events: a.store, Recorder: a.store, Suppressions: a.suppressions,
	}, a.log)
	a.surfaces = append(a.surfaces, surface.New(a.store, visitor, func(ctx context.Context) error { return keys.Rotate(ctx, a.store) }))
	return tracking.New(keys, hosts), nil
}
