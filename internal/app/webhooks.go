package app

import (
	"context"
	"crypto/x509"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sealpost/sealpost/internal/httpapi/webhooks"
	"github.com/sealpost/sealpost/internal/netguard"
	"github.com/sealpost/sealpost/internal/outhttp"
	"github.com/sealpost/sealpost/internal/webhook"
)

// buildWebhooks makes the room that tells users' servers of events, and its calls.
func (a *app) buildWebhooks(roots *x509.CertPool) {
	dialer := outhttp.Dialer{Lookup: a.addresses, Dial: a.dialWebhook}
	client := outhttp.NewClient(outhttp.Config{DialContext: dialer.DialContext, Roots: roots, UserAgent: "Sealpost", IdlePerHost: 64})
	a.webhooks = webhook.New(webhook.Config{
		BaseURL: a.cfg.HTTP.BaseURL(), Schedule: a.cfg.Webhooks.Retry, Timeout: a.cfg.Webhooks.Timeout,
		Connections: a.cfg.Webhooks.MaxConnections, Keep: a.cfg.Retention.Events,
	}, webhook.Roles{Journal: a.tail, Events: a.store, Cursors: a.store, Domains: a.store, Hooks: a.store, Deliveries: a.store}, client, a.log)
	a.follow("webhooks", webhookRoom{a.webhooks, client})
	a.surfaces = append(a.surfaces, webhooks.New(webhooks.Deps{
		Hooks: a.store, Domains: a.store, Room: a.webhooks,
		CheckURL: func(ctx context.Context, url string) error { return dialer.Check(ctx, url, a.webhookPolicy().Check) },
	}))
}

// A webhookRoom lets go of its connections when it ends.
type webhookRoom struct {
	*webhook.Room
	client *outhttp.Client
}

// Run tells of events until ctx ends.
func (r webhookRoom) Run(ctx context.Context) {
	defer r.client.Close()
	r.Room.Run(ctx)
}

// webhookPolicy says which addresses webhooks may be at: not those of the MX hosts.
func (a *app) webhookPolicy() netguard.Policy {
	return netguard.Policy{Own: a.guard.policy.Own, Allow: a.cfg.Webhooks.AllowPrivate}
}

// dialWebhook connects to an address, if the policy lets it.
func (a *app) dialWebhook(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{ControlContext: a.webhookPolicy().ControlContext}
	return d.DialContext(ctx, network, address)
}

// webhookMetrics declares the metrics of webhooks; the help says what is normal.
func webhookMetrics(r *webhook.Room) []prometheus.Collector {
	const attempts = "Webhook calls by outcome: delivered; rejected (the target answered 406); deferred (tried again); failed (that was the last attempt). Deferred is normal in small numbers; failed deserves a look."
	counter := func(outcome string, value func(webhook.Stats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "sealpost_webhook_calls_total", Help: attempts, ConstLabels: prometheus.Labels{"outcome": outcome}},
			func() float64 { return float64(value(r.Stats())) })
	}
	gauge := func(name, help string, value func(webhook.Stats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sealpost_webhook_" + name, Help: help}, func() float64 { return float64(value(r.Stats())) })
	}
	return []prometheus.Collector{
		counter("delivered", func(s webhook.Stats) int64 { return s.Delivered }),
		counter("rejected", func(s webhook.Stats) int64 { return s.Rejected }),
		counter("deferred", func(s webhook.Stats) int64 { return s.Deferred }),
		counter("failed", func(s webhook.Stats) int64 { return s.Failed }),
		gauge("targets", "URLs that are told of events.", func(s webhook.Stats) int { return s.Targets }),
		gauge("targets_failing", "URLs that have not taken anything since their last failure. A few are normal: they are their owners' servers.", func(s webhook.Stats) int { return s.Failing }),
		gauge("targets_disabled", "URLs that are not told any more because they took nothing for a week. Tell their owners.", func(s webhook.Stats) int { return s.Disabled }),
		gauge("targets_behind", "URLs that are slower than their events come, or were, and read on from the log.", func(s webhook.Stats) int { return s.Behind }),
	}
}
