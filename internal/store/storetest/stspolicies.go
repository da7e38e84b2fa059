package storetest

import (
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// stsPolicy returns a policy that was fetched at t0 and expires after life.
func stsPolicy(domain string, life time.Duration) store.STSPolicy {
	return store.STSPolicy{
		Domain: domain, ID: "20261123T120000", Text: "version: STSv1\nmode: enforce\nmx: mx." + domain + "\nmax_age: 604800\nnote: grüße, \"quoted\"",
		Fetched: t0.Add(time.Microsecond), Expires: t0.Add(life), Used: t0.Add(-time.Hour),
	}
}

func (f *fixture) stsPolicies(now time.Time) map[string]store.STSPolicy {
	f.Helper()
	list, err := f.s.LoadSTSPolicies(f.Context(), now)
	f.must(err)
	byDomain := map[string]store.STSPolicy{}
	for _, p := range list {
		byDomain[p.Domain] = p
	}
	f.same("number of domains", len(byDomain), len(list))
	return byDomain
}

var stsPolicyTests = []test{
	{"policies are found again as they were", func(f *fixture) {
		a, b := stsPolicy("a.example", time.Hour), stsPolicy("b.example", 365*24*time.Hour)
		b.Text = strings.Repeat("x", 64<<10)
		f.must(f.s.PutSTSPolicies(f.Context(), []store.STSPolicy{a, b}))
		for range 2 {
			f.same("policies", f.stsPolicies(t0), map[string]store.STSPolicy{"a.example": a, "b.example": b})
			f.reopen(f)
		}
	}},
	{"a new policy replaces the whole old one", func(f *fixture) {
		f.must(f.s.PutSTSPolicies(f.Context(), []store.STSPolicy{stsPolicy("a.example", time.Hour), stsPolicy("b.example", time.Hour)}))
		next := store.STSPolicy{
			Domain: "a.example", ID: "2", Text: "version: STSv1\nmode: none\nmax_age: 60",
			Fetched: t0.Add(time.Minute), Expires: t0.Add(2 * time.Minute), Used: t0,
		}
		f.must(f.s.PutSTSPolicies(f.Context(), []store.STSPolicy{next}))
		for range 2 {
			f.same("policies", f.stsPolicies(t0), map[string]store.STSPolicy{"a.example": next, "b.example": stsPolicy("b.example", time.Hour)})
			f.reopen(f)
		}
	}},
	{"an expired policy is not returned", func(f *fixture) {
		f.must(f.s.PutSTSPolicies(f.Context(), []store.STSPolicy{stsPolicy("a.example", time.Hour), stsPolicy("b.example", 2*time.Hour)}))
		f.same("policies", f.stsPolicies(t0.Add(time.Hour)), map[string]store.STSPolicy{"b.example": stsPolicy("b.example", 2*time.Hour)})
		f.same("policies that are still there", len(f.stsPolicies(t0)), 2)
	}},
	{"forgetting takes the named and the expired", func(f *fixture) {
		f.must(f.s.PutSTSPolicies(f.Context(), []store.STSPolicy{
			stsPolicy("a.example", time.Hour), stsPolicy("b.example", 2*time.Hour), stsPolicy("c.example", 3*time.Hour),
		}))
		f.must(f.s.ForgetSTSPolicies(f.Context(), []string{"c.example", "none.example"}, t0.Add(2*time.Hour)))
		for range 2 {
			f.same("policies", f.stsPolicies(t0), map[string]store.STSPolicy{"b.example": stsPolicy("b.example", 2*time.Hour)})
			f.reopen(f)
		}
		f.must(f.s.ForgetSTSPolicies(f.Context(), nil, time.Time{}))
		f.same("policies", len(f.stsPolicies(t0)), 1)
	}},
	{"one that cannot be kept keeps none of its batch", func(f *fixture) {
		wrong := stsPolicy("b.example", time.Hour)
		wrong.Expires = wrong.Fetched // has never been in force
		if err := f.s.PutSTSPolicies(f.Context(), []store.STSPolicy{stsPolicy("a.example", time.Hour), wrong}); err == nil {
			f.Error("a policy without a life was stored")
		}
		f.same("policies", len(f.stsPolicies(time.Time{})), 0)
	}},
	{"a context that ended stores nothing", func(f *fixture) {
		f.must(f.s.PutSTSPolicies(f.Context(), []store.STSPolicy{stsPolicy("a.example", time.Hour)}))
		if err := f.s.PutSTSPolicies(cancelled(), []store.STSPolicy{stsPolicy("b.example", time.Hour)}); err == nil {
			f.Error("stored")
		}
		if err := f.s.ForgetSTSPolicies(cancelled(), []string{"a.example"}, time.Time{}); err == nil {
			f.Error("forgotten")
		}
		f.same("policies", f.stsPolicies(t0), map[string]store.STSPolicy{"a.example": stsPolicy("a.example", time.Hour)})
	}},
}
