package app

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/queue"
)

// newLogger returns the process's logger. Both handlers quote what comes from
// outside (SEC-75).
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	if w == nil {
		w = os.Stderr
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked with the configuration
	o := &slog.HandlerOptions{Level: level}
	if c.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// adminHandler serves health and metrics on the admin listener.
func (a *app) adminHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		queueCollector{a.queue},
		stsCollector{a.sts},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sealpost_mx_hosts_with_tls", Help: "MX hosts that completed a TLS handshake with us in the last 90 days.",
		}, func() float64 { return float64(a.peers.Stats().Hosts) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sealpost_starttls_downgrades_total",
			Help: "Sessions in which an MX host that gave TLS before did not offer it (tls-downgrade-suspected). Normal is a few.",
		}, func() float64 { return float64(a.peers.Stats().Downgrades) }),
		noticeCounter("sent", func() int64 { return a.notices.Stats().Notified }),
		noticeCounter("lost", func() int64 { return a.notices.Stats().Unnotified }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sealpost_path_strips_starttls",
			Help: "1 if several MX hosts stopped offering STARTTLS within an hour: something near this server may strip it. Normal is 0; page somebody.",
		}, func() float64 { return oneIf(a.peers.Stats().PathStripped) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sealpost_dane_off",
			Help: "1 while the resolver does not validate DNSSEC or is not trusted, so that no TLSA record is looked at. Normal is 0; page somebody.",
		}, func() float64 { return oneIf(!a.stub.Status().State.Believed()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sealpost_resolver_validated_timestamp_seconds",
			Help: "When a probe last found that the resolver validates DNSSEC; 0 if none has yet. Probes are hourly; older than two hours deserves a look.",
		}, func() float64 { return validatedAt(a.stub.Status()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sealpost_evidence_lag_seconds",
			Help: "Age of the oldest event that may not have its record of evidence yet. Normal is below 5; look into it at 300.",
		}, func() float64 { return a.evidence.Stats().Lag.Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sealpost_evidence_contradicted",
			Help: "1 while the evidence on disk is not what was signed, so that nothing more is recorded. Normal is 0; page somebody.",
		}, func() float64 { return oneIf(a.evidence.Stats().Contradiction) }),
	)
	registry.MustRegister(reportMetrics(a.reports)...)
	registry.MustRegister(webhookMetrics(a.webhooks)...)
	registry.MustRegister(a.followerMetrics(time.Now())...)
	registry.MustRegister(a.certificateMetrics()...)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// noticeCounter counts senders who were owed a notice, by what came of it.
func noticeCounter(outcome string, value func() int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "sealpost_dsn_total",
		Help: "Delivery status notifications owed to senders: sent, or lost because they could not be made (the log says why). " +
			"Lost is normal for domains that may not send any more or were deleted, else 0.",
		ConstLabels: prometheus.Labels{"outcome": outcome},
	}, func() float64 { return float64(value()) })
}

// readyz says whether mail can be accepted and delivered, and if not, why.
func (a *app) readyz(w http.ResponseWriter, _ *http.Request) {
	var problems []string
	if err := a.store.Err(); err != nil {
		problems = append(problems, "storage: "+err.Error())
	}
	if a.queue.Stats().Outage {
		problems = append(problems, "delivery: nothing at all can be reached from here")
	}
	if len(problems) > 0 {
		http.Error(w, strings.Join(problems, "\n"), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// A queueCollector reports the queue's counters when Prometheus asks.
type queueCollector struct{ q *queue.Queue }

// A metric is one number of the queue. The labels are closed sets.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(queue.Stats) float64
	label []string
}

// queueMetrics declares the metrics; the help says what is normal.
func queueMetrics() []metric {
	counter := func(name, help, label string, value func(queue.Stats) int64) metric {
		m := metric{kind: prometheus.CounterValue, value: func(s queue.Stats) float64 { return float64(value(s)) }}
		if label == "" {
			m.desc = prometheus.NewDesc("sealpost_"+name, help, nil, nil)
			return m
		}
		m.desc = prometheus.NewDesc("sealpost_"+name, help, []string{"outcome"}, nil)
		m.label = []string{label}
		return m
	}
	gauge := func(name, help string, value func(queue.Stats) float64) metric {
		return metric{desc: prometheus.NewDesc("sealpost_"+name, help, nil, nil), kind: prometheus.GaugeValue, value: value}
	}
	const outcomes = "Recipients by outcome of an attempt. Deferred is normal in small numbers; expired deserves a look."
	return []metric{
		counter("recipients_total", outcomes, "delivered", func(s queue.Stats) int64 { return s.Delivered }),
		counter("recipients_total", outcomes, "deferred", func(s queue.Stats) int64 { return s.Deferred }),
		counter("recipients_total", outcomes, "bounced", func(s queue.Stats) int64 { return s.Bounced }),
		counter("recipients_total", outcomes, "expired", func(s queue.Stats) int64 { return s.Expired }),
		counter("recipients_total", outcomes, "abandoned", func(s queue.Stats) int64 { return s.Abandoned }),
		counter("attempts_total", "Attempts: one message to one next hop.", "", func(s queue.Stats) int64 { return s.Attempts }),
		counter("attempt_panics_total", "Attempts that hit a bug and were deferred. Normal is 0; page somebody.", "", func(s queue.Stats) int64 { return s.Panics }),
		counter("store_errors_total", "Calls to storage that failed and are tried again. Normal is 0.", "", func(s queue.Stats) int64 { return s.StoreErrors }),
		gauge("next_hops", "Recipient domains with mail waiting, or remembered.", func(s queue.Stats) float64 { return float64(s.NextHops) }),
		gauge("next_hops_failing", "Recipient domains where nobody answers.", func(s queue.Stats) float64 { return float64(s.Failing) }),
		gauge("attempts_in_flight", "Attempts being made now.", func(s queue.Stats) float64 { return float64(s.InFlight) }),
		gauge("outage", "1 while attempts pause because nothing at all can be reached. Normal is 0; page somebody.", func(s queue.Stats) float64 { return oneIf(s.Outage) }),
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c queueCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c queueCollector) Collect(ch chan<- prometheus.Metric) {
	stats := c.q.Stats()
	for _, m := range queueMetrics() {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(stats), m.label...)
	}
}

// withLab adds the lab's observations for the operator, if there is a lab.
func (a *app) withLab(next http.Handler) http.Handler {
	l := a.opts.lab
	if l == nil {
		return next
	}
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.HandleFunc("GET /v1/sealpost/lab", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(l.Observe(r.FormValue("message-id")))
	})
	return mux
}
