package e2e

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// Row 12: a host that gave TLS stops offering it. The memory survives a restart, the mail
// goes where its flags say, and event, metric and health tell.
func TestDowngradeIsNoticedAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	to := w.receive(t, "downgrade", smtptest.Valid, smtptest.Behaviour{})
	first := rg.outcome(t, plainDomain, rg.mustSubmit(t, plainDomain, "messages", short(to.address())))
	if first.Event != "delivered" || !*first.Status.TLS || first.Status.Detail.Downgrade {
		t.Fatalf("%s tls=%t downgrade=%t", first.Event, *first.Status.TLS, first.Status.Detail.Downgrade)
	}
	rg.stop(t)

	address := to.Addr()
	to.Close()
	l, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	stripped := smtptest.New(smtptest.Behaviour{Host: to.host, STARTTLS: smtptest.TLSNotOffered})
	stripped.Serve(l)
	t.Cleanup(stripped.Close)

	rg = w.start(t)
	if body := rg.health(t, "/metrics"); !strings.Contains(body, "sealpost_starttls_downgrades_total 0\n") || !strings.Contains(body, "sealpost_mx_hosts_with_tls 1\n") {
		t.Errorf("metrics after the restart:\n%s", sealpostLines(body))
	}
	second := rg.outcome(t, plainDomain, rg.mustSubmit(t, plainDomain, "messages", short(to.address())))
	if second.Event != "delivered" || *second.Status.TLS || !second.Status.Detail.Downgrade || second.Status.Detail.Result != "plaintext-not-offered" {
		t.Errorf("%s tls=%t %+v", second.Event, *second.Status.TLS, second.Status.Detail)
	}
	if n := len(stripped.Accepted()); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
	var body string
	await(t, "the delivery in the metrics", func() bool { // counted just after it is recorded
		body = rg.health(t, "/metrics")
		return strings.Contains(body, `sealpost_recipients_total{outcome="delivered"} 1`+"\n")
	})
	for _, line := range []string{
		"sealpost_starttls_downgrades_total 1\n", "sealpost_path_strips_starttls 0\n",
		"sealpost_outage 0\n",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("no %q in\n%s", line, sealpostLines(body))
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if body := rg.health(t, path); body != "ok\n" {
			t.Errorf("%s: %q", path, body)
		}
	}
}

// health asks the admin listener.
func (rg *rig) health(t *testing.T, path string) string {
	t.Helper()
	resp, err := rg.http.Get("http://" + rg.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v: %s", path, resp.Status, err, body)
	}
	return string(body)
}

// sealpostLines leaves out the metrics of the Go runtime.
func sealpostLines(metrics string) string {
	var b strings.Builder
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "sealpost_") {
			b.WriteString(line)
		}
	}
	return b.String()
}
