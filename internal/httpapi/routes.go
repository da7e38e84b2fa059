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
		door.On("GET", "/v3/domains/{domain}/connection", door.Manage, a.showConnection),
		door.On("PUT", "/v3/domains/{domain}/connection", door.Manage, a.updateConnection),
		door.On("GET", "/v3/domains/{domain}/connection/impact", door.Manage, a.showImpact),
		door.On("GET", "/v3/domains/{domain}/credentials", door.Manage, a.listCredentials),
		door.On("POST", "/v3/domains/{domain}/credentials", door.Manage, a.createCredentials),
		door.On("DELETE", "/v3/domains/{domain}/credentials", door.Manage, a.deleteAllCredentials),
		door.On("PUT", "/v3/domains/{domain}/credentials/{login}", door.Manage, a.updateCredential),
		door.On("DELETE", "/v3/domains/{domain}/credentials/{login}", door.Manage, a.deleteCredential),

		door.On("GET", "/v1/sealpost/version", door.Manage, a.showVersion),
		door.On("GET", "/v1/sealpost/health", door.Manage, a.showHealth),
		door.On("GET", "/v1/sealpost/keys", door.Operate, a.listKeys),
		door.On("POST", "/v1/sealpost/keys", door.Operate, a.createKey),
		door.On("DELETE", "/v1/sealpost/keys/{id}", door.Operate, a.deleteKey),
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
		door.On("GET", "/v1/sealpost/domains/{domain}/delivery", door.Manage, a.showDelivery),
		door.On("PUT", "/v1/sealpost/domains/{domain}/delivery", door.Manage, a.updateDelivery),
		door.On("PUT", "/v1/sealpost/domains/{domain}/state", door.Operate, a.updateState),
	}
	for _, v := range []string{"/v3/domains", "/v4/domains"} { // one set of handlers under both
		table = append(table,
			door.On("GET", v, door.Manage, a.listDomains),
			door.On("POST", v, door.Operate, a.createDomain),
			door.On("GET", v+"/{domain}", door.Manage, a.showDomain),
			door.On("PUT", v+"/{domain}", door.Manage, a.updateDomain),
			door.On("DELETE", v+"/{domain}", door.Manage, a.deleteDomain),
			door.On("PUT", v+"/{domain}/verify", door.Manage, a.verifyDomain),
		)
	}
	return append(table, envelopes.New(a.deps.Queue, a.cfg.Horizon).Routes()...)
}
