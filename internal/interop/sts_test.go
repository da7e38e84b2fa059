package interop

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/app"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// An stsCase is a recipient domain, <name>.test, with a policy or what goes wrong with one.
type stsCase struct {
	name   string
	at     string   // the receiver of its MX host mx
	policy []string // lines; "MX" stands for the MX host
	txt    []string // of _mta-sts, where it is not the one with id <name>1
	more   string   // records
	serve  http.HandlerFunc
	cert   smtptest.CertKind // of the policy host
	flags  flags
	want   stsWant
}

// stsWant is what our log says.
type stsWant struct {
	result string
	source string // who demands what the session must be
	state  string // of the policy; empty where the log has none
	fault  string
	auth   string // mx-authenticated
}

func (c stsCase) domain() string { return c.name + ".test" }

func enforced(result string) stsWant { return stsWant{result, "mta-sts", "enforce", "", "mta-sts"} }
func stranger() stsWant              { return stsWant{"refused-sts-mx", "mta-sts", "enforce", "", "none"} }

// demandsNothing is a policy, or none, that changes no delivery.
func demandsNothing(result, state string) stsWant {
	return stsWant{result, "sender", state, "", "none"}
}

// noPolicy is a policy that could not be had: as though there were none (RFC 8461 section 3.3).
func noPolicy(fault string) stsWant {
	return stsWant{"plaintext-verify-failed", "sender", "no-fetch", fault, "none"}
}

func policy(mode string, mx ...string) []string {
	lines := []string{"version: STSv1", "mode: " + mode, "max_age: 604800"}
	for _, m := range mx {
		lines = append(lines, "mx: "+m)
	}
	return lines
}

func stsCases() []stsCase {
	any, required := flags{skipVerification: true}, flags{requireTLS: true}
	return append(stsFaults(), []stsCase{
		{name: "enforce", at: "valid", policy: policy("enforce", "MX"), want: enforced("verified-pkix")},
		{name: "enforce-any", at: "self-signed", policy: policy("enforce", "MX"), flags: any, want: enforced("refused-verify-failed")},
		{name: "enforce-self-signed", at: "self-signed", policy: policy("enforce", "MX"), want: enforced("refused-verify-failed")},
		{name: "enforce-wrong-name", at: "wrong-name", policy: policy("enforce", "MX"), want: enforced("refused-verify-failed")},
		{name: "enforce-expired", at: "expired", policy: policy("enforce", "MX"), want: enforced("refused-verify-failed")},
		{name: "enforce-no-tls", at: "no-tls", policy: policy("enforce", "MX"), want: enforced("refused-not-offered")},
		{name: "not-listed", at: "valid", policy: policy("enforce", "mx.elsewhere.test"), want: stranger()},
		{name: "not-listed-any", at: "valid", policy: policy("enforce", "mx.elsewhere.test"), flags: any, want: stranger()},
		{name: "wildcard", at: "valid", policy: policy("enforce", "mx.elsewhere.test", "*.wildcard.test"), want: enforced("verified-pkix")},
		{name: "wildcard-two", at: "valid", policy: policy("enforce", "*.test"), want: stranger()},
		{name: "second-listed", at: "valid", policy: policy("enforce", "MX"), more: "second-listed MX 5 stranger.second-listed\nstranger.second-listed A {valid}\n",
			want: enforced("verified-pkix")},
		{name: "crlf", at: "valid", serve: text("version: STSv1\r\nmode: enforce\r\nunknown: x\r\nmx: mx.crlf.test\r\nmax_age: 604800"), want: enforced("verified-pkix")},
		{name: "testing", at: "valid", policy: policy("testing", "MX"), want: demandsNothing("verified-pkix", "testing")},
		{name: "testing-self-signed", at: "self-signed", policy: policy("testing", "MX"), want: demandsNothing("plaintext-verify-failed", "testing")},
		{name: "testing-any", at: "self-signed", policy: policy("testing", "MX"), flags: any, want: demandsNothing("unverified", "testing")},
		// Testing lowers nothing either.
		{name: "testing-required", at: "self-signed", policy: policy("testing", "MX"), flags: required, want: demandsNothing("refused-verify-failed", "testing")},
		{name: "testing-not-listed", at: "valid", policy: policy("testing", "mx.elsewhere.test"), want: demandsNothing("verified-pkix", "testing")},
		{name: "none", at: "self-signed", policy: policy("none"), want: demandsNothing("plaintext-verify-failed", "none")},
		{name: "none-no-tls", at: "no-tls", policy: policy("none"), want: demandsNothing("plaintext-not-offered", "none")},
		// No record, or none that counts: nobody looks for a policy (RFC 8461 section 3.1).
		{name: "no-record", at: "self-signed", policy: policy("enforce", "MX"), txt: []string{}, want: demandsNothing("plaintext-verify-failed", "")},
		{name: "two-records", at: "self-signed", policy: policy("enforce", "MX"), txt: []string{"v=STSv1; id=a1;", "v=STSv1; id=b1;"}, want: demandsNothing("plaintext-verify-failed", "")},
		{name: "no-id", at: "self-signed", policy: policy("enforce", "MX"), txt: []string{"v=STSv1;"}, want: demandsNothing("plaintext-verify-failed", "")},
		{name: "two-strings", at: "valid", policy: policy("enforce", "MX"), txt: []string{"v=STSv1; \" \"id=two1;"}, want: enforced("verified-pkix")},
	}...)
}

// stsFaults are the ways in which a policy cannot be had (RFC 8461 section 3.3). Slow ones are tried in mtasts, in
// a clock of the test's own.
func stsFaults() []stsCase {
	const fetchError, invalid, webPKI = "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"
	fault := func(name, fault string, f http.HandlerFunc) stsCase {
		return stsCase{name: name, at: "self-signed", serve: f, want: noPolicy(fault)}
	}
	cert := func(name string, kind smtptest.CertKind) stsCase {
		return stsCase{name: name, at: "self-signed", policy: policy("enforce", "MX"), cert: kind, want: noPolicy(webPKI)}
	}
	good := "version: STSv1\nmode: enforce\nmx: *.fault.test\nmax_age: 604800\n"
	return []stsCase{
		fault("not-found", fetchError, http.NotFound),
		fault("broken", fetchError, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, good, http.StatusInternalServerError) }),
		fault("redirect", fetchError, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://mta-sts.enforce.test/.well-known/mta-sts.txt", http.StatusFound)
		}),
		fault("large", fetchError, text(good+strings.Repeat("filler: x\n", 64<<10/9))),
		fault("cut", fetchError, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, good)
		}),
		fault("html", invalid, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, good)
		}),
		fault("no-version", invalid, text("mode: enforce\nmx: mx.no-version.test\nmax_age: 604800\n")),
		fault("no-mx", invalid, text("version: STSv1\nmode: enforce\nmax_age: 604800\n")),
		fault("no-age", invalid, text("version: STSv1\nmode: enforce\nmx: mx.no-age.test\n")),
		fault("mode-unknown", invalid, text("version: STSv1\nmode: strict\nmx: mx.mode-unknown.test\nmax_age: 604800\n")),
		cert("host-self-signed", smtptest.SelfSigned),
		cert("host-wrong-name", smtptest.WrongName),
		cert("host-expired", smtptest.Expired),
		cert("host-unknown-ca", smtptest.UnknownCA),
		cert("host-incomplete", smtptest.IncompleteChain),
		{name: "host-gone", at: "self-signed", more: "mta-sts.host-gone A {nobody}\n", want: noPolicy(fetchError)},
	}
}

// text answers with a text.
func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, body)
	}
}

// An stsWorld is our server, names, a policy host, and a Postfix for each kind of certificate.
type stsWorld struct {
	rig   *rig
	peers map[string]*peer
	host  *policyHost
}

func newSTSWorld(t *testing.T, cases []stsCase) *stsWorld {
	t.Helper()
	network, port := freeNetwork(t)
	pki := smtptest.NewPKI(t)
	var domains, names []string
	for _, c := range cases {
		domains, names = append(domains, c.domain()), append(names, "mx."+c.domain())
	}
	w := &stsWorld{host: startPolicyHost(t, pki, network+".250"), peers: map[string]*peer{
		"valid":       {cert: pki.Cert(t, smtptest.Valid, names...)},
		"self-signed": {cert: pki.Cert(t, smtptest.SelfSigned, names...)},
		"wrong-name":  {cert: pki.Cert(t, smtptest.WrongName)},
		"expired":     {cert: pki.Cert(t, smtptest.Expired, names...)},
		"no-tls":      {},
	}}
	startPeers(t, network, port, w.peers, domains)
	zone := ""
	for _, c := range cases {
		zone += w.records(c, network)
		mx := "mx." + c.domain()
		switch {
		case c.serve != nil:
			w.host.answer(t, c.domain(), c.cert, c.serve)
		case c.cert != smtptest.Valid:
			w.host.answer(t, c.domain(), c.cert, text(strings.ReplaceAll(strings.Join(c.policy, "\n"), "MX", mx)))
		case c.policy != nil:
			w.host.publish(t, c.domain(), strings.ReplaceAll(strings.Join(c.policy, "\n"), "MX", mx))
		}
	}
	zones := startResolver(t, zone)
	w.rig = newRigOn(t, pki, zones.address, port, app.Options{PolicyPort: w.host.port(t)})
	w.rig.zones = zones
	return w
}

// records are those of a case.
func (w *stsWorld) records(c stsCase, network string) string {
	policyIP, _, _ := net.SplitHostPort(w.host.addr)
	zone := fmt.Sprintf("%s MX 10 mx.%s\nmx.%s A %s\n", c.name, c.name, c.name, w.peers[c.at].ip)
	if !strings.Contains(c.more, "mta-sts.") {
		zone += fmt.Sprintf("mta-sts.%s A %s\n", c.name, policyIP)
	}
	txt := c.txt
	if txt == nil {
		txt = []string{"v=STSv1; id=" + strings.ReplaceAll(c.name, "-", "") + "1;"}
	}
	for _, record := range txt {
		zone += fmt.Sprintf("_mta-sts.%s TXT \"%s\"\n", c.name, record)
	}
	more := strings.ReplaceAll(c.more, "{valid}", w.peers["valid"].ip)
	return zone + strings.ReplaceAll(more, "{nobody}", network+".251")
}

// What recipients publish by MTA-STS (RFC 8461), from a real web server by real HTTPS, decides about
// real mail to real receivers.
func TestMTASTS(t *testing.T) {
	t.Parallel()
	cases := append(stsCases(),
		stsCase{name: "moves", at: "valid", policy: policy("enforce", "old.moves.test"), want: stranger()},
		stsCase{name: "leaves", at: "valid", policy: policy("enforce", "MX"), want: enforced("verified-pkix")},
		stsCase{name: "relents", at: "self-signed", policy: policy("enforce", "MX"), want: enforced("refused-verify-failed")},
	)
	w := newSTSWorld(t, cases)
	outcomes := w.deliver(t, cases, "first", false)
	for _, c := range cases {
		want := 1 // whatever came of it: one attempt in five minutes, and no second message asks again
		switch {
		case c.txt != nil && c.want.state == "", c.name == "host-gone", c.want.fault == "sts-webpki-invalid":
			want = 0
		}
		if got := w.host.asked(c.domain()); got != want {
			t.Errorf("%s: the policy host was asked %d times, want %d", c.name, got, want)
		}
	}
	outcomes = append(outcomes, w.restart(t, cases)...)
	checkNothingElse(t, w.peers, outcomes)
}

// restart: a policy outlives the process and its host (RFC 8461 section 5.1), and a new id is
// noticed.
func (w *stsWorld) restart(t *testing.T, cases []stsCase) []outcome {
	t.Helper()
	w.rig.stop()
	w.host.stop()
	w.age(t, 6*time.Minute) // for five, nobody is asked again
	w.rig.run(t)
	var kept []stsCase
	for _, c := range cases {
		if c.want.state == "enforce" && c.name != "moves" && c.name != "leaves" && c.name != "relents" {
			if c.want.result == "refused-sts-mx" {
				c.want.fault = "sts-policy-fetch-error" // it was looked at again, in vain (section 5.1)
			}
			kept = append(kept, c)
		}
	}
	outcomes := w.deliver(t, kept, "kept", true)

	w.host.start(t)
	news := []stsCase{
		{name: "moves", policy: policy("enforce", "mx.moves.test"), want: enforced("verified-pkix")},
		{name: "leaves", policy: policy("enforce", "mx.elsewhere.test"), want: stranger()},
		{name: "relents", policy: policy("none"), want: demandsNothing("plaintext-verify-failed", "none")},
	}
	for _, c := range news {
		w.host.publish(t, c.domain(), c.policy...)
		w.rig.zones.replace(t, "id="+c.name+"1;", "id="+c.name+"2;")
	}
	for _, o := range w.deliver(t, news, "new", false) {
		if sts := o.Status.Detail.STS; sts != nil && !strings.HasSuffix(sts.ID, "2") {
			t.Errorf("%s: policy %q, want the new one", o.Recipient, sts.ID)
		}
		outcomes = append(outcomes, o)
	}
	for _, c := range news {
		if got := w.host.asked(c.domain()); got != 2 {
			t.Errorf("%s: the policy host was asked %d times, want 2", c.name, got)
		}
	}
	return outcomes
}

// age makes the policies that our server has kept older. It must not run.
func (w *stsWorld) age(t *testing.T, by time.Duration) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: w.rig.cfg.Server.DataDir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := s.LoadSTSPolicies(t.Context(), time.Now())
	if err != nil || len(kept) == 0 {
		t.Fatalf("%d policies are kept, %v", len(kept), err)
	}
	for i := range kept {
		kept[i].Fetched = kept[i].Fetched.Add(-by)
	}
	if err := errors.Join(s.PutSTSPolicies(t.Context(), kept), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// deliver sends a message for each case, compares our log with what is expected, and with what the receivers
// say.
func (w *stsWorld) deliver(t *testing.T, cases []stsCase, local string, cached bool) []outcome {
	t.Helper()
	var sent []submitted
	for _, c := range cases {
		sent = append(sent, w.rig.submitTo(t, local+"@"+c.domain(), c.flags))
	}
	var outcomes []outcome
	for i, c := range cases {
		o := w.rig.outcome(t, sent[i].id, sent[i].recipient)
		outcomes = append(outcomes, o)
		detail := o.Status.Detail
		got := stsWant{result: detail.Result, source: detail.Source, auth: detail.MXAuth}
		if detail.STS != nil {
			got.state, got.fault = detail.STS.State, detail.STS.Fault
			if policy := detail.STS.ID != ""; policy && detail.STS.Cached != cached {
				t.Errorf("%s: policy cached: %t, want %t", o.Recipient, detail.STS.Cached, cached)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q\nwant %q\nevent: %+v", o.Recipient, got, c.want, o)
		}
		if o.delivered() {
			checkPeer(t, w.peers, o)
			continue
		}
		if o.Severity != "temporary" || !strings.HasPrefix(c.want.result, "refused-") {
			t.Errorf("%s: %s %s, want a deferral for a refusal only", o.Recipient, o.Severity, o.Event)
		}
		if c.want.result == "refused-sts-mx" && detail.MXIP != "" {
			t.Errorf("%s: a host that the policy does not list was contacted at %s", o.Recipient, detail.MXIP)
		}
	}
	return outcomes
}
