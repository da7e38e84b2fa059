package app

import (
	"github.com/sealpost/sealpost/internal/httpapi/lists"
	"github.com/sealpost/sealpost/internal/httpapi/routes"
	"github.com/sealpost/sealpost/internal/httpapi/templates"
)

// buildStored adds the calls for what people store with us: templates, routes and mailing lists.
func (a *app) buildStored() {
	a.surfaces = append(a.surfaces, templates.New(a.store), routes.New(a.store), lists.New(a.store, a.store))
}
