package interop

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/sealpost/sealpost/internal/app"
	"github.com/sealpost/sealpost/internal/realdns"
	"github.com/sealpost/sealpost/internal/realmta"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// Postfix is the MTA that made DANE work, so it is asked about every case: posttls-finger, with
// the same resolver and the same receivers, tells what Postfix would do, and our server
// sends real mail. The receivers say what came to them.
func TestDANEAgainstPostfix(t *testing.T) {
	t.Parallel()
	cases := daneCases()
	w := newDANEWorld(t, cases)
	opinions := w.probe(t, cases)
	anything := w.sendAll(t, "any", flags{skipVerification: true}, cases)
	// Where no host is found flags do not matter, and the queue lets such a next hop rest for some seconds.
	strict := w.sendAll(t, "strict", flags{}, slices.DeleteFunc(slices.Clone(cases), func(c daneCase) bool { return c.want.state == untold }))
	var table strings.Builder
	rows := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	fmt.Fprint(&table, "What posttls-finger -l dane and our server make of the same recipients. A message without flags goes in\n"+
		"plaintext where DANE demands nothing and the certificate does not verify: that is what it asks for.\n\n")
	fmt.Fprintln(rows, "case\tTLSA (Postfix)\tPostfix delivers\tTLSA (ours)\tours, any certificate\tours, no flags\tagree")
	for i, c := range cases {
		postfix := opinions[i]
		event, noFlags := anything[c.name], strict[c.name]
		ours := w.opinion(event)
		w.check(t, c, event, noFlags)
		agree := "yes"
		switch same := ours.equal(postfix); {
		case !same && c.differs == "":
			agree = "NO"
			t.Errorf("%s: Postfix: %s\nours: %s\n%s", c.name, postfix, ours, postfix.output)
		case !same:
			agree = "no: " + c.differs
		case c.differs != "":
			t.Errorf("%s: Postfix agrees now (%s), though it is written that it does not: %s", c.name, postfix, c.differs)
		}
		fmt.Fprintf(rows, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.name, postfix.tlsa, postfix.delivery(), w.state(event),
			event.short(), noFlags.short(), agree)
	}
	if err := rows.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cases:\n%s", len(cases), &table)
	checkGolden(t, filepath.Join("testdata", "dane-postfix.txt"), table.String())
	checkNothingElse(t, w.peers, slices.AppendSeq(slices.Collect(maps.Values(anything)), maps.Values(strict)))
}

var update = flag.Bool("update", false, "rewrite testdata")

// checkGolden compares a table with the one in a file, which is there to be read in review. Both are the same to
// whoever runs the test, because nothing in it depends on addresses and ports.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the table differs from %s; if that is meant, run the test with -update and review the difference", name)
	}
}

// A daneWorld is our server, a validating resolver, and a Postfix for each kind of certificate.
type daneWorld struct {
	rig     *rig
	port    string
	finger  *realmta.Finger
	peers   map[string]*peer // by name
	records map[string]string
}

func (c daneCase) domain() string { return c.name + ".test" }

// takes is the host that takes the mail, if one does.
func (c daneCase) takes() string {
	if len(c.hosts) == 0 {
		return "mx." + c.domain()
	}
	return c.hosts[len(c.hosts)-1]
}

func newDANEWorld(t *testing.T, cases []daneCase) *daneWorld {
	t.Helper()
	network, port := freeNetwork(t)
	pki := smtptest.NewPKI(t)
	w := &daneWorld{port: port, peers: danePeers(t, pki, cases), records: make(map[string]string)}
	var domains []string
	for _, c := range cases {
		domains = append(domains, c.domain())
	}
	startPeers(t, network, port, w.peers, domains)
	resolver := realdns.Start(t, realdns.World{Zones: w.zones(t, cases)}).Addr()
	w.finger = realmta.NewFinger(t, resolver, pki.RootPEM)
	w.rig = newRigOn(t, pki, resolver, port, app.Options{})
	return w
}

// zones are those of the cases. What is signed in the common way is in one zone with its kind, for the
// signer's sake.
func (w *daneWorld) zones(t *testing.T, cases []daneCase) []realdns.Zone {
	t.Helper()
	common := realdns.Zone{Name: "test", Signed: true}
	var own []realdns.Zone
	for _, c := range cases {
		z := c.zone
		z.Name, z.Records = c.domain(), w.expand(t, z.Records)
		if z.Signed && !z.NSEC3 && len(z.Breaks) == 0 {
			common.Records += "$ORIGIN " + z.Name + ".\n" + z.Records
		} else {
			own = append(own, z)
		}
	}
	return append(own, common)
}

// danePeers makes the receivers' certificates. Those with the right names have the names of
// all hosts.
func danePeers(t *testing.T, pki *smtptest.PKI, cases []daneCase) map[string]*peer {
	t.Helper()
	var names []string
	for _, c := range cases {
		names = append(names, "mx."+c.domain())
	}
	private := smtptest.NewPKI(t) // nobody trusts it
	wrong, err := pki.IssueTemplate(smtptest.LeafTemplate("wrong-name.invalid", "ta-next-hop.test"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*peer{
		"valid":        {cert: pki.Cert(t, smtptest.Valid, names...), root: pki.Root},
		"expired":      {cert: pki.Cert(t, smtptest.Expired, names...), root: pki.Root},
		"self-signed":  {cert: pki.Cert(t, smtptest.SelfSigned, names...)},
		"wrong-name":   {cert: wrong, root: pki.Root},
		"private":      {cert: private.Cert(t, smtptest.Valid, names...), root: private.Root},
		"private-root": {cert: pki.Cert(t, smtptest.UnknownCA, names...)},
		"no-tls":       {},
	}
}

var (
	tlsaPattern    = regexp.MustCompile(`\[(\d) (\d) (\d) (\S+) of ([a-z-]+)\]`)
	addressPattern = regexp.MustCompile(`\{([a-z-]+)\}`)
)

// expand writes the addresses, port and TLSA records of this world into a zone, and remembers what
// the records stand for.
func (w *daneWorld) expand(t *testing.T, zone string) string {
	t.Helper()
	zone = strings.ReplaceAll(zone, "{tlsa}", "_"+w.port+"._tcp")
	zone = tlsaPattern.ReplaceAllStringFunc(zone, func(written string) string {
		m := tlsaPattern.FindStringSubmatch(written)
		record := fmt.Sprintf("%s %s %s %s", m[1], m[2], m[3], w.peers[m[5]].data(t, m[2], m[3], m[4]))
		w.records[record] = strings.Join(m[1:5], " ")
		return record
	})
	return addressPattern.ReplaceAllStringFunc(zone, func(written string) string {
		p := w.peers[strings.Trim(written, "{}")]
		if p == nil {
			t.Fatalf("no receiver %s", written)
		}
		return p.ip
	})
}

// data returns the last field of a TLSA record.
func (p *peer) data(t *testing.T, selector, matching, what string) string {
	t.Helper()
	var cert *x509.Certificate
	name, more, _ := strings.Cut(what, "+")
	switch name {
	case "leaf":
		cert = parse(t, p.cert.Certificate[0])
	case "issuer":
		cert = parse(t, p.cert.Certificate[1])
	case "root":
		cert = p.root
	case "other":
		cert = parse(t, smtptest.NewPKI(t).Cert(t, smtptest.Valid, "other.test").Certificate[0])
	default:
		return what
	}
	raw := cert.Raw
	if selector != "0" {
		raw = cert.RawSubjectPublicKeyInfo
	}
	switch matching {
	case "1", "3": // which nobody knows
		sum := sha256.Sum256(raw)
		raw = sum[:]
	case "2":
		sum := sha512.Sum512(raw)
		raw = sum[:]
	}
	return strings.ToUpper(hex.EncodeToString(raw)) + more
}

// An opinion is what is made of a recipient domain, by whomever.
type opinion struct {
	tlsa     string // none, unusable, usable, failed, untold: as FingerTLSA has it
	delivers bool
	// These are of the session that delivers.
	tls, verified bool
	matched       string // the record
	output        string // of the program
}

func (o opinion) delivery() string {
	switch {
	case !o.delivers:
		return "no"
	case !o.tls:
		return "in plaintext"
	case !o.verified:
		return "unverified"
	}
	return "verified"
}

func (o opinion) String() string {
	return fmt.Sprintf("TLSA %s, delivers %s, matched %q", o.tlsa, o.delivery(), o.matched)
}

func (o opinion) equal(other opinion) bool {
	return o.tlsa == other.tlsa && o.delivery() == other.delivery() && o.matched == other.matched
}

// opinion is what our log says of a message.
func (w *daneWorld) opinion(o outcome) opinion {
	detail := o.Status.Detail
	ours := opinion{tlsa: w.state(o), delivers: o.delivered()}
	switch ours.tlsa {
	case notSecure, absent:
		ours.tlsa = "none"
	}
	if o.delivered() {
		ours.tls, ours.verified = *o.Status.TLS, *o.Status.CertificateVerified
		if detail.TLSA != nil {
			ours.matched = w.written(detail.TLSA.Matched)
		}
	}
	return ours
}

// state is what our log says of the TLSA records.
func (w *daneWorld) state(o outcome) string {
	switch detail := o.Status.Detail; {
	case detail.TLSA != nil:
		return detail.TLSA.State
	case detail.Result == "":
		return untold
	}
	return notSecure
}

// short is the event in a word.
func (o outcome) short() string {
	if o.Event == "" {
		return "-"
	}
	if o.Status.Detail.Result == "" {
		return "deferred: " + strings.SplitAfter(o.Status.Message, ".test")[0]
	}
	return o.Status.Detail.Result
}

// sendAll sends one message to a recipient of every case, and returns what our log says of each,
// by the case's name.
func (w *daneWorld) sendAll(t *testing.T, local string, f flags, cases []daneCase) map[string]outcome {
	t.Helper()
	parts := []part{
		{name: "from", value: "app@" + sendingDomain}, {name: "subject", value: "%recipient%"}, {name: "text", value: "For %recipient%.\n"},
		{name: "recipient-variables", value: "{}"},
		{name: "o:require-tls", value: yesNo(f.requireTLS)}, {name: "o:skip-verification", value: yesNo(f.skipVerification)},
	}
	for _, c := range cases {
		parts = append(parts, part{name: "to", value: local + "@" + c.domain()})
	}
	w.rig.send(t, parts...)
	outcomes := make(map[string]outcome)
	until(t, "an outcome for every recipient", func() bool {
		for _, o := range w.rig.events(t, "", "event", "delivered OR failed") {
			if to, domain, _ := strings.Cut(o.Recipient, "@"); to == local {
				outcomes[strings.TrimSuffix(domain, ".test")] = o
			}
		}
		return len(outcomes) == len(cases)
	})
	return outcomes
}

// probe asks Postfix about every case, a few at once. Of several hosts it asks one after the
// other, as Postfix would connect to them.
func (w *daneWorld) probe(t *testing.T, cases []daneCase) []opinion {
	t.Helper()
	opinions := make([]opinion, len(cases))
	slots := make(chan struct{}, 4)
	var probing sync.WaitGroup
	for i, c := range cases {
		probing.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			destinations := []string{c.domain()}
			if len(c.hosts) > 1 {
				destinations = nil
				for _, h := range c.hosts {
					destinations = append(destinations, "["+h+"]")
				}
			}
			for _, d := range destinations {
				r := w.finger.Probe(t, d+":"+w.port)
				opinions[i] = opinion{tlsa: r.TLSA.String(), delivers: r.Delivers(), output: r.Output}
				if r.Delivers() {
					opinions[i].tls, opinions[i].matched = r.Trust != realmta.NoTLS, w.written(r.Matched)
					opinions[i].verified = r.Trust == realmta.Verified || r.Matched != ""
					return
				}
			}
		})
	}
	probing.Wait()
	if t.Failed() {
		t.FailNow() // a probe could end its own goroutine only
	}
	return opinions
}

// check compares our log with what the table expects, and with the receiver's mailbox and
// log.
func (w *daneWorld) check(t *testing.T, c daneCase, anything, strict outcome) {
	t.Helper()
	detail := anything.Status.Detail
	matched := ""
	if detail.TLSA != nil {
		matched = w.written(detail.TLSA.Matched)
	}
	if got := (daneWant{w.state(anything), detail.Result, matched}); got != c.want {
		t.Errorf("%s, any certificate: got %q\nwant %q\nevent: %+v", c.name, got, c.want, anything)
	}
	want := c.want.result
	if c.strict != "" {
		want = c.strict
	}
	all := []outcome{anything}
	if c.want.state != untold {
		all = append(all, strict)
		if got := strict.Status.Detail.Result; got != want || w.state(strict) != c.want.state {
			t.Errorf("%s, no flags: got %s, TLSA %s\nwant %s, %s", c.name, got, w.state(strict), want, c.want.state)
		}
	}
	for _, o := range all {
		w.checkWitnesses(t, c, o)
	}
}

// checkWitnesses compares an event with itself, and with the receiver that it names.
func (w *daneWorld) checkWitnesses(t *testing.T, c daneCase, o outcome) {
	t.Helper()
	result := o.Status.Detail.Result
	if refused := result == "" || strings.HasPrefix(result, "refused-"); refused == o.delivered() {
		t.Errorf("%s: event %s with result %q", o.Recipient, o.Event, result)
	}
	switch {
	case !o.delivered() && o.Severity != "temporary":
		t.Errorf("%s: severity %s, want temporary", o.Recipient, o.Severity)
	case o.delivered() && *o.Status.MXHost != c.takes():
		t.Errorf("%s: mx-host %q, want %q", o.Recipient, *o.Status.MXHost, c.takes())
	case o.delivered():
		checkPeer(t, w.peers, o)
	}
}

// written is a record as the table writes it. Of long ones Postfix shows both ends, and
// our log the beginning.
func (w *daneWorld) written(record string) string {
	record = strings.ToUpper(record)
	for _, cut := range []string{"...", "…"} {
		record = strings.ReplaceAll(record, cut, "*")
	}
	begin, end, _ := strings.Cut(record, "*")
	for full, short := range w.records {
		if full == record || len(full) > len(record) && begin != record && strings.HasPrefix(full, begin) && strings.HasSuffix(full, end) {
			return short
		}
	}
	return record
}
