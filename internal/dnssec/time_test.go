package dnssec_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
)

func TestAnswersAreRememberedForTheirTime(t *testing.T) {
	tests := []struct {
		name, records string
		fault         dnstest.Fault
		typ           dnssec.Type
		lasts         time.Duration // 0: asked again at once
	}{
		{"record's TTL", "@ 77 A 192.0.2.1", dnstest.Fault{}, dnssec.A, 77 * time.Second},
		{"TTL zero", "@ 0 A 192.0.2.1", dnstest.Fault{}, dnssec.A, 0},
		{"an hour at most", "@ 864000 A 192.0.2.1", dnstest.Fault{}, dnssec.A, time.Hour},
		{"TTL with its highest bit", "@ 2147483648 A 192.0.2.1", dnstest.Fault{}, dnssec.A, 0},
		{"alias with a shorter TTL", "@ 30 CNAME x\nx 900 A 192.0.2.1", dnstest.Fault{}, dnssec.A, 30 * time.Second},
		{"shortest of a set", "@ 900 A 192.0.2.1\n@ 20 A 192.0.2.2", dnstest.Fault{}, dnssec.A, 20 * time.Second},
		{"denial: SOA minimum", "@ 300 SOA ns h 1 2 3 4 60", dnstest.Fault{}, dnssec.A, time.Minute},
		{"denial: TTL of the SOA", "@ 10 SOA ns h 1 2 3 4 60", dnstest.Fault{}, dnssec.A, 10 * time.Second},
		{"denial: five minutes at most", "@ 86400 SOA ns h 1 2 3 4 86400", dnstest.Fault{}, dnssec.A, 5 * time.Minute},
		{"denial without SOA", "@ A 192.0.2.1", dnstest.Fault{NoSOA: true}, dnssec.MX, 0},
		{"failure", "", dnstest.Fault{RCode: 2}, dnssec.A, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := dnstest.Start(t, dnstest.Zone{Origin: "zone.test", Secure: true, Records: tt.records})
				if tt.fault != (dnstest.Fault{}) {
					s.SetFault("zone.test", 0, tt.fault)
				}
				r := s.Resolver(t)
				first := r.Lookup(t.Context(), "zone.test", tt.typ)
				if tt.lasts > 0 {
					time.Sleep(tt.lasts - time.Millisecond)
					again := r.Lookup(t.Context(), "zone.test", tt.typ)
					if n := s.Count("zone.test", 0); n != 1 {
						t.Errorf("asked %d times just before the end", n)
					}
					if !again.Asked.Equal(first.Asked) || again.State != first.State || again.Secure != first.Secure {
						t.Errorf("memory says %+v, the resolver said %+v", again, first)
					}
					time.Sleep(time.Millisecond)
				}
				r.Lookup(t.Context(), "zone.test", tt.typ)
				if n := s.Count("zone.test", 0); n != 2 {
					t.Errorf("asked %d times after the end, want 2", n)
				}
			})
		})
	}
}

// An answer under one name and type answers nothing else, and the memory stays
// within its bounds.
func TestMemoryIsBounded(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{Origin: "zone.test", Records: "* A 192.0.2.1"})
	cfg := s.Config()
	cfg.CacheBytes = 10_000
	r, err := dnssec.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		r.Lookup(t.Context(), fmt.Sprintf("h%d.zone.test", i), dnssec.A)
		r.Lookup(t.Context(), "h0.zone.test", dnssec.A) // in use: stays
	}
	if n := s.Count("h0.zone.test", 0); n != 1 {
		t.Errorf("a name in use was asked %d times", n)
	}
	before := len(s.Queries())
	r.Lookup(t.Context(), "h1.zone.test", dnssec.A)
	r.Lookup(t.Context(), "h99.zone.test", dnssec.A)
	r.Lookup(t.Context(), "h99.zone.test", dnssec.AAAA)
	if got := len(s.Queries()) - before; got != 2 {
		t.Errorf("asked %d questions, want 2: the forgotten one and the new one", got)
	}
}

// REL-32: one question in flight per name, however many wait.
func TestOneQuestionForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, zones()...)
		s.SetFault("mx.secure.test", dnssec.A, dnstest.Fault{Delay: time.Second})
		r := s.Resolver(t)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if a := r.Lookup(t.Context(), "mx.secure.test", dnssec.A); a.State != dnssec.Found {
					t.Errorf("%s (%v)", a.State, a.Err())
				}
			})
		}
		all.Wait()
		if n := s.Count("mx.secure.test", 0); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
	})
}

// Who leaves early, even the one who asked first, takes nothing from the others.
func TestLeavingDoesNotEndAnothersQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, zones()...)
		s.SetFault("mx.secure.test", dnssec.A, dnstest.Fault{Delay: 2 * time.Second})
		r := s.Resolver(t)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		var all sync.WaitGroup
		all.Go(func() {
			start := time.Now()
			a := r.Lookup(impatient, "mx.secure.test", dnssec.A)
			if a.State != dnssec.Failed || a.Failure.Reason != dnssec.Timeout {
				t.Errorf("impatient: %s (%v), want a timeout", a.State, a.Err())
			}
			if d := time.Since(start); d != time.Second {
				t.Errorf("impatient waited %s", d)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if a := r.Lookup(t.Context(), "mx.secure.test", dnssec.A); a.State != dnssec.Found {
				t.Errorf("patient: %s (%v)", a.State, a.Err())
			}
		})
		all.Wait()
		if n := s.Count("mx.secure.test", 0); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
	})
}

// When everybody has left, the question is given up, and that is not remembered
// as an answer.
func TestGivenUpQuestionIsAskedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, zones()...)
		s.SetFault("mx.secure.test", dnssec.A, dnstest.Fault{Drop: true, Times: 1})
		r := s.Resolver(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if a := r.Lookup(ctx, "mx.secure.test", dnssec.A); a.State != dnssec.Failed || a.Failure.Reason != dnssec.Canceled {
			t.Errorf("%s (%v), want canceled", a.State, a.Err())
		}
		synctest.Wait()
		if a := r.Lookup(t.Context(), "mx.secure.test", dnssec.A); a.State != dnssec.Found {
			t.Errorf("asked anew: %s (%v)", a.State, a.Err())
		}
	})
}

func TestGivenUpQuestionIsNotAskedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, zones()...)
		s.SetFault("mx.secure.test", dnssec.A, dnstest.Fault{Drop: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.Resolver(t).Lookup(ctx, "mx.secure.test", dnssec.A)
		time.Sleep(time.Minute)
		if n := s.Count("mx.secure.test", 0); n != 1 {
			t.Errorf("asked %d times, though nobody waited after the first", n)
		}
	})
}

func TestSilentServerIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, zones()...)
		s.SetFault("mx.secure.test", dnssec.A, dnstest.Fault{Drop: true, Times: 2})
		start := time.Now()
		if a := s.Resolver(t).Lookup(t.Context(), "mx.secure.test", dnssec.A); a.State != dnssec.Found {
			t.Errorf("%s (%v)", a.State, a.Err())
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("took %s, want two waits of 5 s", d)
		}
	})
}

// The total bounds a question however many aliases and retries it takes.
func TestTotalTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, zones()...)
		for i := range 9 {
			s.SetFault(fmt.Sprintf("hop%d.secure.test", i), 0, dnstest.Fault{FirstHop: true, Delay: 4 * time.Second})
		}
		start := time.Now()
		a := s.Resolver(t).Lookup(t.Context(), "hop0.secure.test", dnssec.A)
		if a.State != dnssec.Failed || a.Failure.Reason != dnssec.Timeout {
			t.Errorf("%s (%v), want a timeout", a.State, a.Err())
		}
		if d := time.Since(start); d != 15*time.Second {
			t.Errorf("took %s, want 15 s", d)
		}
	})
}

// several makes a resolver over servers by address.
func several(t *testing.T, byAddr map[string]*dnstest.Server, addrs ...string) *dnssec.Stub {
	t.Helper()
	r, err := dnssec.New(dnssec.Config{Servers: addrs, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return byAddr[address].Dial(ctx, network, address)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNextServerIsAskedWhenOneFails(t *testing.T) {
	for name, fault := range map[string]dnstest.Fault{"SERVFAIL": {RCode: 2}, "REFUSED": {RCode: 5}, "silence": {Drop: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, good := dnstest.Start(t, zones()...), dnstest.Start(t, zones()...)
				bad.SetFault("mx.secure.test", 0, fault)
				bad.SetFault("secure.test", 0, fault)
				r := several(t, map[string]*dnstest.Server{"127.0.0.1:53": bad, "127.0.0.2:53": good}, "127.0.0.1", "127.0.0.2")
				if a := r.Lookup(t.Context(), "mx.secure.test", dnssec.A); a.State != dnssec.Found {
					t.Errorf("%s (%v)", a.State, a.Err())
				}
				start := time.Now()
				r.Lookup(t.Context(), "secure.test", dnssec.MX)
				if d := time.Since(start); d != 0 || bad.Count("secure.test", 0) != 0 {
					t.Errorf("the next question went to the failing server again (%s)", d)
				}
			})
		})
	}
}

// SEC-46, law 5: making the validating resolver fail must not bring an answer
// that nobody validated.
func TestUntrustedServerNeverStandsInForATrustedOne(t *testing.T) {
	validating, other := dnstest.Start(t, zones()...), dnstest.Start(t, zones()...)
	validating.SetFault("mx.secure.test", 0, dnstest.Fault{RCode: 2, EDE: 6})
	r := several(t, map[string]*dnstest.Server{"127.0.0.1:53": validating, "192.0.2.53:53": other}, "192.0.2.53", "127.0.0.1")
	a := r.Lookup(t.Context(), "mx.secure.test", dnssec.A)
	if a.State != dnssec.Failed || a.Failure.EDE == nil {
		t.Errorf("%s (%v), want the bogus answer's failure", a.State, a.Err())
	}
	if n := len(other.Queries()); n != 0 {
		t.Errorf("the untrusted server was asked %d times", n)
	}
}
