package app

import "github.com/sealpost/sealpost/internal/httpapi/templates"

// buildStored adds the calls for what people store with us to send with: templates.
func (a *app) buildStored() {
	a.surfaces = append(a.surfaces, templates.New(a.store))
}
