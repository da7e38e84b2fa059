package interop

import (
	"context"
	"errors"
	"io"
	"net"
	"net/smtp"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/realmta"
)

// swaks runs it with the given arguments and returns its exit code and the dialogue.
func swaks(t *testing.T, args ...string) (code int, dialogue string) {
	t.Helper()
	path, err := exec.LookPath("swaks")
	if err != nil {
		t.Fatal("no swaks on this machine: install the Debian packages swaks and libnet-ssleay-perl, or run make test, which tries to")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, path, args...)
	command.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && ctx.Err() == nil:
		return exit.ExitCode(), string(output)
	case err != nil:
		t.Fatalf("swaks: %v\n%s", err, output)
	}
	return 0, string(output)
}

// swaks's exit codes, as its manual lists them.
const (
	swaksNoSTARTTLS = 29
	swaksNoAuth     = 28
	swaksNoMail     = 23
)

func TestSwaksSubmits(t *testing.T) {
	t.Parallel()
	v := receiver{mta: "exim", label: "valid", cert: validCert}
	r := newRig(t, v)
	server := r.start(t, v)
	r.addLogin(t)
	ca := r.caFile(t)
	starttls, implicit := r.at.Submission.String(), r.at.SubmissionTLS.String()
	verify := []string{"--tls-verify", "--tls-ca-path", ca}
	tests := []struct {
		name, server string
		args         []string
		password     string
		exit         int
		want         string // in the dialogue
	}{
		{"starttls-plain", starttls, append(verify, "--tls", "--auth", "PLAIN"), password, 0, "235 2.7.0"},
		{"starttls-login", starttls, append(verify, "--tls", "--auth", "LOGIN"), password, 0, "235 2.7.0"},
		{"implicit-plain", implicit, append(verify, "--tls-on-connect", "--auth", "PLAIN"), password, 0, "235 2.7.0"},
		{"implicit-login", implicit, append(verify, "--tls-on-connect", "--auth", "LOGIN"), password, 0, "235 2.7.0"},
		{"pipelined", implicit, append(verify, "--tls-on-connect", "--auth", "PLAIN", "--pipeline"), password, 0, "235 2.7.0"},
		{"tls12", starttls, append(verify, "--tls", "--tls-protocol", "tlsv1_2", "--auth", "PLAIN"), password, 0, "TLSv1.2"},
		{"wrong-plain", starttls, append(verify, "--tls", "--auth", "PLAIN"), "wrong-horse-battery", swaksNoAuth, "535 5.7"},
		{"wrong-login", implicit, append(verify, "--tls-on-connect", "--auth", "LOGIN"), "wrong-horse-battery", swaksNoAuth, "535 5.7"},
		// SEC-06: without TLS AUTH is not offered, and nothing else is allowed.
		{"no-tls-auth", starttls, []string{"--auth", "PLAIN"}, password, swaksNoAuth, "250-" + hostname},
		{"no-tls", starttls, nil, "", swaksNoMail, "530 5.7.0"},
		// Inside TLS, but nobody in particular.
		{"no-auth", starttls, append(verify, "--tls"), "", swaksNoMail, "530 5.7"},
		{"old-tls", starttls, []string{"--tls", "--tls-protocol", "tlsv1_1"}, "", swaksNoSTARTTLS, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			recipient := tt.name + "@" + v.domain()
			args := append([]string{
				"--server", tt.server, "--ehlo", "client.test", "--from", login, "--to", recipient,
				"--header", "Subject: " + tt.name, "--body", "Sent by swaks.\n.\n..\n",
			}, tt.args...)
			if tt.password != "" {
				args = append(args, "--auth-user", login, "--auth-password", tt.password)
			}
			code, dialogue := swaks(t, args...)
			if code != tt.exit || !strings.Contains(dialogue, tt.want) {
				t.Fatalf("exit code %d, want %d and %q in the dialogue:\n%s", code, tt.exit, tt.want, dialogue)
			}
			if plain := !slices.Contains(tt.args, "--tls-on-connect"); plain {
				beforeTLS, _, _ := strings.Cut(dialogue, "STARTTLS\n")
				if strings.Contains(beforeTLS, "250-AUTH") || strings.Contains(beforeTLS, "250 AUTH") {
					t.Errorf("AUTH is offered without TLS:\n%s", dialogue)
				}
			}
			if tt.exit != 0 {
				return
			}
			m := arrived(t, server, recipient)
			if got := readMessage(t, r, m); got.subject != tt.name || !strings.HasPrefix(got.text, "Sent by swaks.\n.\n..\n") {
				t.Errorf("got %q", m.Data)
			}
			if m.ReversePath != login {
				t.Errorf("reverse-path: got %q, want %q", m.ReversePath, login)
			}
		})
	}
	events := r.events(t, "")
	for _, tt := range tests {
		told := slices.ContainsFunc(events, func(o outcome) bool { return strings.HasPrefix(o.Recipient, tt.name+"@") })
		if told != (tt.exit == 0) {
			t.Errorf("%s: our log tells of a message: got %v, want %v", tt.name, told, tt.exit == 0)
		}
	}
}

// A Postfix that relays everything through us, as thousands of hosts relay through
// their provider: it logs in, and demands a certificate that verifies.
func TestPostfixSubmits(t *testing.T) {
	t.Parallel()
	v := receiver{mta: "exim", label: "valid", cert: validCert}
	r := newRig(t, v)
	server := r.start(t, v)
	r.addLogin(t)
	tests := []struct {
		name, password string
		implicit       bool
		refused        string // in Postfix's log
	}{
		{"starttls", password, false, ""},
		{"implicit", password, true, ""},
		{"wrong", "wrong-horse-battery", false, "SASL authentication failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			relay := &realmta.Relay{Addr: r.at.Submission.String(), Name: hostname, CA: r.pki.RootPEM, Login: login, Password: tt.password}
			if tt.implicit {
				relay.Addr, relay.Implicit = r.at.SubmissionTLS.String(), true
			}
			client := realmta.StartPostfix(t, realmta.Options{Hostname: "client." + sendingDomain, Domains: []string{"local.test"}, Relay: relay})
			to := []string{tt.name + "-a@" + v.domain(), tt.name + "-b@" + v.domain()}
			body := "Grüße.\r\n.\r\n..\r\nFrom here\r\n"
			inject(t, client, to, "From: Ann <"+login+">\r\nTo: "+strings.Join(to, ", ")+"\r\nSubject: by Postfix\r\n"+
				"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+body)
			if tt.refused != "" {
				until(t, "Postfix logs the refusal", func() bool { return strings.Contains(client.Log(), tt.refused) })
				return
			}
			ids := make(map[string]bool)
			for _, recipient := range to {
				m := arrived(t, server, recipient)
				ids[parseReceived(t, m).id] = true
				if got := readMessage(t, r, m); got.subject != "by Postfix" || got.text != lines(body) {
					t.Errorf("%s got %q", recipient, m.Data)
				}
			}
			if len(ids) != 1 {
				t.Errorf("two recipients came as %d messages, want 1", len(ids))
			}
			until(t, "Postfix logs that both are sent", func() bool { return strings.Count(client.Log(), "status=sent (250 ") == 2 })
			if !strings.Contains(client.Log(), "Verified TLS connection established to ") {
				t.Errorf("Postfix did not verify our certificate")
			}
		})
	}
	if got := taken(v.mta, server.Log()); got != 2 {
		t.Errorf("the receiver took %d messages, want 2", got)
	}
}

// inject gives Postfix a message, as a program on its host would.
func inject(t *testing.T, client *realmta.Server, to []string, message string) {
	t.Helper()
	host, _, err := net.SplitHostPort(client.Addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", client.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Mail(login)
	for _, recipient := range to {
		err = errors.Join(err, c.Rcpt(recipient))
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, message); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("end of data: %v", err)
	}
}
