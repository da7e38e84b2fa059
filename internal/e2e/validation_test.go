package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dnstest"
)

// A server looks at once whether its resolver validates, and its metrics tell.
func TestMetricsTellWhetherTheResolverValidates(t *testing.T) {
	w := newWorld(t)
	if err := w.dns.SetZone(dnstest.Zone{Origin: ".", Secure: true, Records: "@ NS a.root-servers.test."}); err != nil {
		t.Fatal(err)
	}
	rg := w.start(t)
	for deadline := time.Now().Add(patience); ; {
		body := rg.health(t, "/metrics")
		if !strings.Contains(body, "sealpost_dane_off 0\n") {
			t.Fatalf("DANE is off:\n%s", body)
		}
		if strings.Contains(body, "sealpost_resolver_validated_timestamp_seconds 1.") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no probe had a result:\n%s", body)
		}
	}
}
