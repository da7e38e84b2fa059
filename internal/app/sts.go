package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sealpost/sealpost/internal/mtasts"
)

// An stsCollector reports the counters of the MTA-STS room when Prometheus asks.
type stsCollector struct{ c *mtasts.Cache }

// stsMetric is one number of the room. Labels are closed sets.
type stsMetric struct {
	name, help  string
	kind        prometheus.ValueType
	label, word string // none when empty
	value       func(mtasts.Stats) float64
}

// stsMetrics declares the metrics; the help says what is normal.
func stsMetrics() []stsMetric {
	const (
		policies = "MTA-STS policies of recipient domains in force or cached, by mode."
		failures = "Fetches of an MTA-STS policy that failed, by result (RFC 8460). Some always do; a sudden rise means that this server cannot reach the web or has lost its root certificates."
	)
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	return []stsMetric{
		{"sealpost_sts_policies", policies, gauge, "mode", "enforce", func(s mtasts.Stats) float64 { return float64(s.Enforce) }},
		{"sealpost_sts_policies", policies, gauge, "mode", "testing", func(s mtasts.Stats) float64 { return float64(s.Testing) }},
		{"sealpost_sts_policies", policies, gauge, "mode", "none", func(s mtasts.Stats) float64 { return float64(s.None) }},
		{"sealpost_sts_fetches_total", "Fetches of an MTA-STS policy begun.", counter, "", "", func(s mtasts.Stats) float64 { return float64(s.Fetches) }},
		{"sealpost_sts_fetch_failures_total", failures, counter, "result", "sts-policy-fetch-error", func(s mtasts.Stats) float64 { return float64(s.FetchErrors) }},
		{"sealpost_sts_fetch_failures_total", failures, counter, "result", "sts-policy-invalid", func(s mtasts.Stats) float64 { return float64(s.Invalid) }},
		{"sealpost_sts_fetch_failures_total", failures, counter, "result", "sts-webpki-invalid", func(s mtasts.Stats) float64 { return float64(s.Unverified) }},
		{"sealpost_sts_refresh_failures_total", "Refreshes of a cached MTA-STS policy that failed; the policy holds until it expires. The log names the domains.", counter, "", "", func(s mtasts.Stats) float64 { return float64(s.RefreshFails) }},
		{"sealpost_sts_policies_dropped_total", "MTA-STS policies dropped before their end for want of room. Normal is 0.", counter, "", "", func(s mtasts.Stats) float64 { return float64(s.Dropped) }},
	}
}

// Describe implements prometheus.Collector.
func (c stsCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c stsCollector) Collect(ch chan<- prometheus.Metric) {
	stats := c.c.Stats()
	for _, m := range stsMetrics() {
		var names, words []string
		if m.label != "" {
			names, words = []string{m.label}, []string{m.word}
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(m.name, m.help, names, nil), m.kind, m.value(stats), words...)
	}
}
