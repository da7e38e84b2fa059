package httpapi

import (
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/envelopes"
)

// routes is the table. It is the only source: the mux is built from it, and the
// test walks it with every kind of key.
func (a *API) routes() []door.Route {
	table := []door.Route{
		door.On("GET", "/{$}", door.Public, a.root),

		door.On("POST", "/v3/{domain}/messages", door.Send, a.sendMessage),
		door.On("POST", "/v3/{domain}/messages.mime", door.Send, a.sendMIME),
		door.On("GET", "/v3/{domain}/events", door.Manage, a.listEvents),
		door.On("GET", "/v3/{domain}/events/{token}", door.Manage, a.listEvents),

		door.On("GET", "/v3/domains/{domain}/messages/{key}", door.Manage, a.storedMessage),
		door.On("POST", "/v3/domains/{domain}/messages/{key}", door.Manage, a.resendMessage),
		door.On("GET", "/v3/domains/{domain}/messages/{key}/attachments/{n}", door.Manage, a.storedAttachment),
		door.On("GET", "/v3/domains/{domain}/sending_queues", door.Manage, a.sendingQueues),
		door.On("GET", "/v3/domains/{domain}/connection/impact", door.Manage, a.showImpact),

		door.On("GET", "/v1/sealpost/version", door.Manage, a.showVersion),
		door.On("GET", "/v1/sealpost/health", door.Manage, a.showHealth),
		door.On("GET", "/v1/sealpost/queue", door.Operate, a.listQueue),
		door.On("GET", "/v1/sealpost/queue/next-hops", door.Operate, a.listNextHops),
		door.On("GET", "/v1/sealpost/queue/explain", door.Operate, a.explainQueue),
		door.On("POST", "/v1/sealpost/queue/{action}", door.Operate, a.changeQueue),
		door.On("GET", "/v1/sealpost/tls/{name}", door.Operate, a.probe),
		door.On("GET", "/v1/sealpost/overrides", door.Operate, a.listOverrides),
		door.On("POST", "/v1/sealpost/overrides", door.Operate, a.createOverride),
		door.On("DELETE", "/v1/sealpost/overrides/{id}", door.Operate, a.deleteOverride),
		door.On("GET", "/v1/sealpost/audit", door.Operate, a.listAudit),
		door.On("GET", "/v1/sealpost/tls-reports", door.Operate, a.listTLSReports),
		door.On("GET", "/v1/sealpost/tls-reports/{name}", door.Operate, a.previewTLSReport),
		door.On("GET", "/v1/sealpost/evidence", door.Manage, a.exportEvidence),
		door.On("GET", "/v1/sealpost/evidence/key", door.Manage, a.showEvidenceKeys),
		door.On("POST", "/v1/sealpost/evidence/key", door.Operate, a.rotateEvidenceKey),
	}
	return append(table, envelopes.New(a.deps.Queue, a.cfg.Horizon).Routes()...)
}
