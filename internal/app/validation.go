package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/dnssec"
)

// watchResolver probes whether the resolver validates, until ctx ends. The lab needs no
// resolver, and its machine may have none.
func (a *app) watchResolver(ctx context.Context) {
	if a.opts.lab == nil {
		a.stub.Run(ctx, a.logValidation)
	}
}

// logValidation says loudly when DANE is off: nothing else would show it, as mail goes on.
func (a *app) logValidation(st dnssec.Status) {
	level := slog.LevelInfo
	if !st.State.Believed() {
		level = slog.LevelWarn
	}
	for _, srv := range st.Servers {
		if srv.State == dnssec.NotValidating {
			level = slog.LevelWarn // one of several counts too: somebody meant it to work
		}
	}
	a.log.Log(context.Background(), level, "resolver validation",
		"dane", map[bool]string{true: "on", false: "off"}[st.State.Believed()],
		"state", st.State.String(), "since", st.Since.UTC().Format(time.RFC3339), "detail", validationDetail(st))
}

// validationDetail says in words, with the remedy, what is known of each resolver.
func validationDetail(st dnssec.Status) string {
	var parts []string
	for _, srv := range st.Servers {
		parts = append(parts, serverDetail(srv))
	}
	detail := strings.Join(parts, "; ")
	if !st.State.Believed() {
		detail += "; DANE is off"
	}
	return detail
}

func serverDetail(srv dnssec.ServerStatus) string {
	switch srv.State {
	case dnssec.Validates:
		if srv.Err != nil {
			return fmt.Sprintf("%s validated when it last answered the probe, %s, and now: %v", srv.Server, srv.Probed.UTC().Format(time.RFC3339), srv.Err)
		}
		return srv.Server + " validates"
	case dnssec.NotValidating:
		return srv.Server + " does not validate DNSSEC: turn validation on there, or set delivery.resolver to one that validates"
	case dnssec.NotTrusted:
		return srv.Server + " is not on this host, so that its word on DNSSEC is not taken: run a validating resolver here, " +
			"or set delivery.resolver_trusted if nobody can come between this host and it"
	}
	if srv.Err != nil {
		return fmt.Sprintf("whether %s validates is not known yet: %v", srv.Server, srv.Err)
	}
	return "whether " + srv.Server + " validates is not known yet"
}

// validatedAt is when a probe last found that a resolver validates, as Unix time; 0 if none did.
func validatedAt(st dnssec.Status) float64 {
	var last time.Time
	for _, srv := range st.Servers {
		if srv.State == dnssec.Validates && srv.Probed.After(last) {
			last = srv.Probed
		}
	}
	if last.IsZero() {
		return 0
	}
	return float64(last.Unix())
}

// A ResolverCheck is what a look at the configured resolver found.
type ResolverCheck struct {
	Validates bool   // it answered the probe, and validates
	Detail    string // what it does, with the remedy
}

// CheckResolver asks the configured resolver whether it validates, independently of any
// running server. It returns within a few seconds.
func CheckResolver(ctx context.Context, cfg config.Config) (ResolverCheck, error) {
	stub, err := newStub(cfg, 2*time.Second)
	if err != nil {
		return ResolverCheck{}, err
	}
	st := stub.Probe(ctx)
	for _, srv := range st.Servers {
		if srv.Doubt { // a first answer without AD; the second one counts
			st = stub.Probe(ctx)
			break
		}
	}
	check := ResolverCheck{Validates: st.State == dnssec.Validates, Detail: validationDetail(st)}
	for _, srv := range st.Servers {
		check.Validates = check.Validates && srv.State == dnssec.Validates
	}
	return check, nil
}
