package dnssec_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
)

// withRoot is the test zones and a root that is signed.
func withRoot() []dnstest.Zone {
	return append(zones(), dnstest.Zone{Origin: ".", Secure: true, Records: "@ NS a.root-servers.test."})
}

// watch runs the probes of a resolver and keeps what they report.
func watch(t *testing.T, r *dnssec.Stub) (reports func() []dnssec.Status) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var seen []dnssec.Status
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx, func(s dnssec.Status) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, s)
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return func() []dnssec.Status {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

func TestValidatingResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, withRoot()...)
		r := s.Resolver(t)
		if got := r.Status(); got.State != dnssec.Untested || !got.State.Believed() {
			t.Errorf("before the first probe: %+v", got)
		}
		reports := watch(t, r)
		got := reports()
		if len(got) != 1 || got[0].State != dnssec.Validates || !got[0].Servers[0].Probed.Equal(time.Now()) {
			t.Fatalf("reports %+v", got)
		}
		time.Sleep(24*time.Hour + time.Second)
		if n := s.Count("", dnssec.NS); n != 25 || len(reports()) != 1 {
			t.Errorf("%d probes in a day, %d reports", n, len(reports()))
		}
		if !secure(t, r) {
			t.Error("answers are not secure")
		}
	})
}

// secure reports whether an answer of the signed zone is called so.
func secure(t *testing.T, r *dnssec.Stub) bool {
	t.Helper()
	a := r.Lookup(t.Context(), "mx.secure.test", dnssec.A)
	if a.State != dnssec.Found {
		t.Fatalf("%s (%v)", a.State, a.Err())
	}
	return a.Secure
}

// A resolver that stops validating: nothing is Secure then, what was remembered included,
// and what it was before comes back at once when it is mended.
func TestResolverStopsValidatingAndStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, withRoot()...)
		r := s.Resolver(t)
		reports := watch(t, r)
		if synctest.Wait(); !secure(t, r) {
			t.Fatal("not secure in the beginning")
		}
		s.SetSecure(".", false)
		time.Sleep(time.Hour)
		if synctest.Wait(); !secure(t, r) || len(reports()) != 1 {
			t.Fatal("one answer without AD was enough")
		}
		time.Sleep(10 * time.Second)
		turned := time.Now()
		if synctest.Wait(); secure(t, r) {
			t.Error("an answer is secure though the resolver does not validate")
		}
		time.Sleep(7 * time.Hour)
		got := reports()
		if len(got) != 2 || got[1].State != dnssec.NotValidating || !got[1].Since.Equal(turned) {
			t.Fatalf("reports %+v, want one of %s", got, turned)
		}
		if st := r.Status(); !st.Since.Equal(turned) || st.State.Believed() {
			t.Errorf("hours later %+v", st)
		}
		if a := r.Lookup(t.Context(), "gone.secure.test", dnssec.TLSA); a.Secure || a.State != dnssec.NXDomain {
			t.Errorf("a denial: %s secure=%t", a.State, a.Secure)
		}
		s.SetSecure(".", true)
		time.Sleep(5 * time.Minute)
		if synctest.Wait(); !secure(t, r) || len(reports()) != 3 || reports()[2].State != dnssec.Validates {
			t.Errorf("mended: secure=%t, reports %+v", secure(t, r), reports())
		}
	})
}

// Whoever can keep the probe from being answered, or make it fail, must not be able to
// switch DANE off: the state stays, before the first success too.
func TestProbeThatFindsNothingOutChangesNothing(t *testing.T) {
	for name, fault := range map[string]dnstest.Fault{
		"silence": {Drop: true}, "bogus": {RCode: 2, EDE: 6}, "refused": {RCode: 5}, "garbage": {Garbage: true},
		"lame": {NoRecurse: true}, "forged": {EDE: 4}, "stale": {EDE: 3},
	} {
		for _, known := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := dnstest.Start(t, withRoot()...)
				r := s.Resolver(t)
				s.SetSecure(".", fault.EDE != 3) // what is repeated has no AD
				want := dnssec.Untested
				if known {
					s.SetSecure(".", true)
					want = dnssec.Validates
					if got := r.Probe(t.Context()); got.State != want {
						t.Fatalf("%+v", got)
					}
					s.SetSecure(".", fault.EDE != 3)
				}
				s.SetFault(".", dnssec.NS, fault)
				reports := watch(t, r)
				time.Sleep(2 * time.Hour)
				got := reports()
				if len(got) != 1 || got[0].State != want || got[0].Servers[0].Err == nil || !secure(t, r) {
					t.Errorf("%s, known %t: %+v", name, known, got)
				}
				var f *dnssec.Failure
				if fault.EDE == 6 && (!errors.As(got[0].Servers[0].Err, &f) || f.EDE == nil || f.EDE.Code != 6) {
					t.Errorf("the resolver's words are lost: %v", got[0].Servers[0].Err)
				}
				// It is found out soon after the obstacle is gone.
				s.SetFault(".", dnssec.NS, dnstest.Fault{})
				s.SetSecure(".", true)
				time.Sleep(time.Minute + 15*time.Second)
				if got := reports(); len(got) != 2 || got[1].State != dnssec.Validates || got[1].Servers[0].Err != nil {
					t.Errorf("%s, afterwards: %+v", name, got)
				}
			})
		}
	}
}

// A resolver that nobody vouches for is not probed, and said so once.
func TestResolverThatIsNotTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, withRoot()...)
		r, err := dnssec.New(dnssec.Config{Servers: []string{"192.0.2.53"}, Dial: s.Dial})
		if err != nil {
			t.Fatal(err)
		}
		reports := watch(t, r)
		time.Sleep(3 * time.Hour)
		got := reports()
		if len(got) != 1 || got[0].State != dnssec.NotTrusted || got[0].State.Believed() || secure(t, r) {
			t.Errorf("reports %+v", got)
		}
		if n := s.Count("", dnssec.NS); n != 0 {
			t.Errorf("probed %d times", n)
		}
	})
}

// Of two trusted resolvers the one that validates answers alone, as long as there is one:
// also when it fails.
func TestOneOfTwoResolversDoesNotValidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := dnstest.Start(t, withRoot()...), dnstest.Start(t, withRoot()...)
		bad.SetSecure(".", false)
		bad.SetSecure("mx.secure.test", false)
		r := several(t, map[string]*dnstest.Server{"127.0.0.1:53": bad, "127.0.0.2:53": good}, "127.0.0.1", "127.0.0.2")
		reports := watch(t, r)
		time.Sleep(time.Minute)
		got := reports()
		last := got[len(got)-1]
		if last.State != dnssec.Validates || last.Servers[0].State != dnssec.NotValidating || last.Servers[1].State != dnssec.Validates {
			t.Fatalf("reports %+v", got)
		}
		if !secure(t, r) {
			t.Error("the one that does not validate was asked")
		}
		good.SetFault("secure.test", dnssec.MX, dnstest.Fault{RCode: 2})
		if a := r.Lookup(t.Context(), "secure.test", dnssec.MX); a.State != dnssec.Failed || bad.Count("secure.test", dnssec.MX) != 0 {
			t.Errorf("%s, and the other one was asked %d times", a.State, bad.Count("secure.test", dnssec.MX))
		}
		// When none validates, mail goes on without DANE: all are asked again.
		good.SetSecure(".", false)
		time.Sleep(2 * time.Hour)
		if st := r.Status(); st.State != dnssec.NotValidating {
			t.Fatalf("%+v", st)
		}
		if a := r.Lookup(t.Context(), "secure.test", dnssec.MX); a.State != dnssec.Found || a.Secure {
			t.Errorf("%s secure=%t (%v)", a.State, a.Secure, a.Err())
		}
	})
}
