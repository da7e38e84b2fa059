package app

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
)

// The log is quiet while the resolver validates, and says once, with the remedy, when it
// stops and when it starts again.
func TestResolverValidationIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, dnstest.Zone{Origin: ".", Secure: true, Records: "@ NS a.root-servers.test."})
		var log strings.Builder
		a := &app{stub: s.Resolver(t), log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); a.watchResolver(ctx) }()
		defer func() { cancel(); <-ended }()

		said := func(wants ...string) {
			t.Helper()
			synctest.Wait()
			for _, want := range wants {
				if !strings.Contains(log.String(), want) {
					t.Errorf("log %q does not say %q", log.String(), want)
				}
			}
			if strings.Count(log.String(), "\n") > 1 {
				t.Errorf("log repeats itself: %s", log.String())
			}
			log.Reset()
		}
		said("level=INFO", "dane=on", "state=validates")
		if off := validatedAt(a.stub.Status()); off != float64(time.Now().Unix()) {
			t.Errorf("validated at %f", off)
		}
		s.SetSecure(".", false)
		time.Sleep(5 * time.Hour)
		said("level=WARN", "dane=off", `state="does not validate"`, "set delivery.resolver", "since=2000-01-01T01:00:10Z")
		s.SetSecure(".", true)
		time.Sleep(time.Hour)
		said("level=INFO", "dane=on", "state=validates")
	})
}

func TestResolverThatIsNotTrustedIsLogged(t *testing.T) {
	stub, err := dnssec.New(dnssec.Config{Servers: []string{"192.0.2.53"}})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	a := &app{stub: stub, log: slog.New(slog.NewTextHandler(&log, nil))}
	a.watchResolver(t.Context()) // there is nothing to wait for
	for _, want := range []string{"level=WARN", "dane=off", "192.0.2.53:53", "delivery.resolver_trusted"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %q does not say %q", log.String(), want)
		}
	}
}

func TestCheckResolver(t *testing.T) {
	root := dnstest.Zone{Origin: ".", Records: "@ NS a.root-servers.test."}
	signed := root
	signed.Secure = true
	tests := []struct {
		name  string
		zones []dnstest.Zone
		want  ResolverCheck // Detail: a part of it
	}{
		{"validates", []dnstest.Zone{signed}, ResolverCheck{true, "validates"}},
		{"does not validate", []dnstest.Zone{root}, ResolverCheck{false, "does not validate DNSSEC: turn validation on there, or set delivery.resolver to one that validates; DANE is off"}},
		{"refuses", nil, ResolverCheck{false, "is not known yet: look up . NS: refused"}},
	}
	for _, tt := range tests {
		s := dnstest.Start(t, tt.zones...)
		addr, err := s.Listen()
		if err != nil {
			t.Fatal(err)
		}
		got, err := CheckResolver(t.Context(), config.Config{Delivery: config.Delivery{Resolver: addr.String()}})
		if err != nil || got.Validates != tt.want.Validates || !strings.Contains(got.Detail, tt.want.Detail) || !strings.Contains(got.Detail, addr.String()) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
	// Not on loopback: it is not asked, and believed only if the operator says so.
	elsewhere := config.Config{Delivery: config.Delivery{Resolver: "192.0.2.53:53"}}
	if got, err := CheckResolver(t.Context(), elsewhere); err != nil || got.Validates || !strings.Contains(got.Detail, "delivery.resolver_trusted") {
		t.Errorf("elsewhere: %+v, %v", got, err)
	}
	elsewhere.Delivery.ResolverTrusted = true
	stub, err := newStub(elsewhere, 0)
	if err != nil || stub.Status().State != dnssec.Untested {
		t.Errorf("trusted elsewhere: %v, %v", stub.Status(), err)
	}
}
