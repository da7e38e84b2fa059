package interop

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/app"
	"github.com/sealpost/sealpost/internal/realdns"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// A reqCase is a recipient domain, <name>.test, with one MX host mx. Neither Postfix nor Exim of today
// speaks RFC 8689, so the receivers are scripted; the names are not.
type reqCase struct {
	name     string
	unsigned bool
	tlsa     string // records at the MX host: ee, other or none
	sts      bool   // an enforced policy lists the host
	cert     smtptest.CertKind
	noTLS    bool
	// announces says where EHLO has REQUIRETLS: before, inside, both or empty.
	announces string
	mx        string // records instead of its own

	message string // how it is marked: requiretls, tls-required-no or empty
	want    reqWant
}

// reqWant is what our log says, and what the receiver saw.
type reqWant struct {
	event    string // delivered, bounced or deferred
	result   string
	enhanced string // status code of a failure
	source   string
	auth     string // mx-authenticated
	param    bool   // MAIL had REQUIRETLS
}

func (c reqCase) domain() string { return c.name + ".test" }

func reqCases() []reqCase {
	const requiretls, optional = "requiretls", "tls-required-no"
	passed := func(result, source, auth string) reqWant {
		return reqWant{"delivered", result, "", source, auth, true}
	}
	refused := func(result, enhanced, auth string) reqWant {
		return reqWant{"bounced", result, enhanced, "requiretls", auth, false}
	}
	return []reqCase{
		{name: "signed", announces: "inside", message: requiretls, want: passed("verified-pkix", "requiretls", "dnssec")},
		{name: "both", announces: "both", message: requiretls, want: passed("verified-pkix", "requiretls", "dnssec")},
		{name: "dane", announces: "inside", tlsa: "ee", cert: smtptest.SelfSigned, message: requiretls, want: passed("verified-dane-ee", "dane", "dnssec")},
		// Section 2: what is said before TLS does not count, since anybody may have said it.
		{name: "before", announces: "before", message: requiretls, want: refused("refused-requiretls", "5.7.30", "dnssec")},
		{name: "never", message: requiretls, want: refused("refused-requiretls", "5.7.30", "dnssec")},
		{name: "no-tls", announces: "before", noTLS: true, message: requiretls, want: refused("refused-not-offered", "5.7.10", "dnssec")},
		{name: "self-signed", announces: "inside", cert: smtptest.SelfSigned, message: requiretls, want: refused("refused-verify-failed", "5.7.10", "dnssec")},
		{name: "wrong-name", announces: "inside", cert: smtptest.WrongName, message: requiretls, want: refused("refused-verify-failed", "5.7.10", "dnssec")},
		{name: "mismatch", announces: "inside", tlsa: "other", message: requiretls, want: reqWant{"bounced", "refused-dane-mismatch", "5.7.10", "dane", "dnssec", false}},
		// Section 4.2.1: the MX record must be one that can be believed, by DNSSEC or by MTA-STS.
		{name: "unsigned", announces: "inside", unsigned: true, message: requiretls, want: refused("refused-requiretls", "5.7.30", "none")},
		{name: "unsigned-sts", announces: "inside", unsigned: true, sts: true, message: requiretls, want: passed("verified-pkix", "requiretls", "mta-sts")},
		{name: "unsigned-to-signed", announces: "inside", unsigned: true, mx: "@ MX 10 mx.dane.test.\n", message: requiretls, want: refused("refused-requiretls", "5.7.30", "none")},
		{name: "second", mx: "@ MX 10 mx.never.test.\n@ MX 20 mx.signed.test.\n", message: requiretls, want: passed("verified-pkix", "requiretls", "dnssec")},
		// A message that does not ask for it gets none, whoever offers it.
		{name: "unmarked", announces: "inside", want: reqWant{"delivered", "verified-pkix", "", "sender", "dnssec", false}},
		{name: "unmarked-mismatch", tlsa: "other", want: reqWant{"deferred", "refused-dane-mismatch", "4.7.5", "dane", "dnssec", false}},
		// Section 3: TLS-Required: No sets aside what the recipient published.
		{name: "optional-mismatch", tlsa: "other", message: optional, want: reqWant{"delivered", "verified-pkix", "", "sender", "dnssec", false}},
		{name: "optional-self-signed", tlsa: "other", cert: smtptest.SelfSigned, message: optional, want: reqWant{"delivered", "unverified", "", "sender", "dnssec", false}},
		{name: "optional-no-tls", tlsa: "other", noTLS: true, message: optional, want: reqWant{"delivered", "plaintext-not-offered", "", "sender", "dnssec", false}},
		{name: "optional-sts", unsigned: true, sts: true, cert: smtptest.WrongName, message: optional, want: reqWant{"delivered", "unverified", "", "sender", "mta-sts", false}},
	}
}

// A reqWorld is our server, a validating resolver, a policy host, and a scripted receiver for each case.
type reqWorld struct {
	rig     *rig
	servers map[string]*smtptest.Server // by the case's name
}

func newReqWorld(t *testing.T, cases []reqCase) *reqWorld {
	t.Helper()
	network, port := freeNetwork(t)
	pki := smtptest.NewPKI(t)
	host := startPolicyHost(t, pki, network+".250")
	w := &reqWorld{servers: make(map[string]*smtptest.Server)}
	common := realdns.Zone{Name: "test", Signed: true}
	zones := []realdns.Zone{}
	for i, c := range cases {
		ip := fmt.Sprintf("%s.%d", network, i+2)
		cert := pki.Cert(t, c.cert, "mx."+c.domain())
		b := smtptest.Behaviour{Host: "mx." + c.domain(), Certificate: cert, Extensions: smtptest.DefaultExtensions(), TLSExtensions: smtptest.DefaultExtensions()}
		if c.announces == "before" || c.announces == "both" {
			b.Extensions = append(b.Extensions, "REQUIRETLS")
		}
		if c.announces == "inside" || c.announces == "both" {
			b.TLSExtensions = append(b.TLSExtensions, "REQUIRETLS")
		}
		if c.noTLS {
			b.STARTTLS = smtptest.TLSNotOffered
		}
		w.servers[c.name] = listen(t, net.JoinHostPort(ip, port), b)
		records := "@ MX 10 mx\nmx A " + ip + "\n"
		p := &peer{cert: cert}
		switch c.tlsa {
		case "ee":
			records += "_" + port + "._tcp.mx TLSA 3 1 1 " + p.data(t, "1", "1", "leaf") + "\n"
		case "other":
			records += "_" + port + "._tcp.mx TLSA 3 1 1 " + p.data(t, "1", "1", "other") + "\n"
		}
		if c.mx != "" {
			records = c.mx
		}
		if c.sts {
			policyIP, _, _ := net.SplitHostPort(host.addr)
			records += "_mta-sts TXT \"v=STSv1; id=1;\"\nmta-sts A " + policyIP + "\n"
			host.publish(t, c.domain(), policy("enforce", "mx."+c.domain())...)
		}
		if c.unsigned {
			zones = append(zones, realdns.Zone{Name: c.domain(), Records: records})
		} else {
			common.Records += "$ORIGIN " + c.domain() + ".\n" + records
		}
	}
	resolver := realdns.Start(t, realdns.World{Zones: append(zones, common)}).Addr()
	w.rig = newRigOn(t, pki, resolver, port, app.Options{PolicyPort: host.port(t)})
	w.rig.addLogin(t)
	return w
}

// listen starts a scripted receiver at an address. It stops with the test.
func listen(t *testing.T, at string, b smtptest.Behaviour) *smtptest.Server {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	s := smtptest.New(b)
	t.Cleanup(s.Close)
	s.Serve(l)
	return s
}

// submit sends a message over the submission door, with the marking that the case says.
func (w *reqWorld) submit(t *testing.T, c reqCase) {
	t.Helper()
	client := w.rig.dialSubmission(t, true)
	client.login(t)
	param, field := "", ""
	switch c.message {
	case "requiretls":
		param = " REQUIRETLS"
	case "tls-required-no":
		field = "TLS-Required: No\r\n"
	}
	client.say(t, "MAIL FROM:<app@"+sendingDomain+">"+param, "250")
	client.say(t, "RCPT TO:<to@"+c.domain()+">", "250")
	client.say(t, "DATA", "354")
	client.say(t, "From: app@"+sendingDomain+"\r\nTo: to@"+c.domain()+"\r\n"+field+"Subject: "+c.name+"\r\n\r\nText.\r\n.", "250")
	client.say(t, "QUIT", "221")
}

// RFC 8689 from end to end: from a client that says REQUIRETLS or TLS-Required: No, by names that
// are signed or not, to the next hop, and what the sender is told.
func TestREQUIRETLS(t *testing.T) {
	t.Parallel()
	cases := reqCases()
	w := newReqWorld(t, cases)
	for _, c := range cases {
		w.submit(t, c)
	}
	params := make(map[string]int) // messages that went on with the parameter, by MX host's case
	for _, c := range cases {
		o := w.rig.outcome(t, "", "to@"+c.domain())
		detail := o.Status.Detail
		got := reqWant{result: detail.Result, source: detail.Source, auth: detail.MXAuth}
		switch {
		case o.delivered():
			got.event = "delivered"
			host := strings.TrimSuffix(strings.TrimPrefix(*o.Status.MXHost, "mx."), ".test")
			m := w.messageFor(t, host, "to@"+c.domain())
			got.param = slices.Contains(strings.Fields(m.Params), "REQUIRETLS")
			if got.param {
				params[host]++
			}
			if m.TLS != *o.Status.TLS {
				t.Errorf("%s: the receiver saw TLS %t, our log says %t", c.name, m.TLS, *o.Status.TLS)
			}
			// Section 3: the field stays in the message for those behind the next hop.
			if kept := strings.Contains(string(m.Content), "TLS-Required: No\r\n"); kept != (c.message == "tls-required-no") {
				t.Errorf("%s: the field TLS-Required is there: %t\n%s", c.name, kept, m.Content)
			}
		case o.Severity == "permanent":
			got.event, got.enhanced = "bounced", o.Status.Enhanced
		default:
			got.event, got.enhanced = "deferred", o.Status.Enhanced
		}
		if got != c.want {
			t.Errorf("%s: got %+v\nwant %+v\nevent: %+v", c.name, got, c.want, o)
		}
		marking := map[string]string{"requiretls": "requiretls-strict", "tls-required-no": "tls-required-no"}[c.message]
		if detail.Marking != marking {
			t.Errorf("%s: marking %q, want %q", c.name, detail.Marking, marking)
		}
	}
	for _, c := range cases {
		for _, m := range w.servers[c.name].Messages() {
			if strings.Contains(m.Params, "REQUIRETLS") {
				params[c.name]--
			}
			if !m.Accepted {
				t.Errorf("%s: a message was begun and not taken", c.name)
			}
		}
		if params[c.name] != 0 {
			t.Errorf("%s: the receiver and our log disagree about messages with REQUIRETLS by %d", c.name, params[c.name])
		}
	}
}

// messageFor returns the one message that a receiver has for a recipient.
func (w *reqWorld) messageFor(t *testing.T, server, recipient string) smtptest.Message {
	t.Helper()
	for _, m := range w.servers[server].Messages() {
		if slices.Contains(m.Recipients, recipient) {
			return m
		}
	}
	t.Fatalf("%s has nothing for %s", server, recipient)
	return smtptest.Message{}
}
