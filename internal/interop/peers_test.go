package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/realmta"
)

// A peer is a Postfix with one certificate for many recipient domains.
type peer struct {
	ip     string
	cert   tls.Certificate   // with its chain; the zero value is no TLS
	root   *x509.Certificate // at the end of the chain, not sent; nil if there is none
	server *realmta.Server
}

// startPeers starts receivers for all the domains, each on an address of its own. They
// stop with the test.
func startPeers(t *testing.T, network, port string, peers map[string]*peer, domains []string) {
	t.Helper()
	var starting sync.WaitGroup
	for i, name := range slices.Sorted(maps.Keys(peers)) {
		p := peers[name]
		p.ip = fmt.Sprintf("%s.%d", network, i+2)
		o := realmta.Options{Hostname: name + ".test", Domains: domains, Listen: net.JoinHostPort(p.ip, port)}
		if len(p.cert.Certificate) > 0 {
			o.Certificate, o.Key = encode(t, p.cert)
		}
		starting.Go(func() { p.server = realmta.StartPostfix(t, o) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow() // one did not start, and could end its own goroutine only
	}
	t.Cleanup(func() { // all at once: Postfix takes its time
		var stopping sync.WaitGroup
		for _, p := range peers {
			stopping.Go(p.server.Stop)
		}
		stopping.Wait()
	})
}

// checkPeer compares the event of a delivery with the mailbox and the log of the peer that it names.
func checkPeer(t *testing.T, peers map[string]*peer, o outcome) {
	t.Helper()
	for _, p := range peers {
		if p.ip == o.Status.Detail.MXIP {
			checkArrival(t, receiver{mta: "postfix"}, p.server, o)
			return
		}
	}
	t.Errorf("%s: delivered to %q, where no receiver is", o.Recipient, o.Status.Detail.MXIP)
}

// checkNothingElse makes sure that the peers have what our log tells of and nothing else, and were told of no
// recipient whose message was held back.
func checkNothingElse(t *testing.T, peers map[string]*peer, outcomes []outcome) {
	t.Helper()
	stored, delivered, log := 0, 0, ""
	for _, p := range peers {
		messages, err := p.server.Messages()
		if err != nil {
			t.Fatal(err)
		}
		stored += len(messages)
		log += p.server.Log()
	}
	for _, o := range outcomes {
		if o.delivered() {
			delivered++
		} else if strings.Contains(log, "<"+o.Recipient+">") {
			t.Errorf("%s was not delivered, but a receiver's log names it", o.Recipient)
		}
	}
	if stored != delivered {
		t.Errorf("the mailboxes have %d messages, our events tell of %d", stored, delivered)
	}
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
