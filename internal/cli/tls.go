package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type tlsCmds struct {
	Check    tlsCheckCmd  `cmd:"" help:"Say what would happen to mail for a domain under each pair of flags, host by host, without sending any."`
	Evidence evidenceCmds `cmd:"" help:"Signed evidence of deliveries: show it, export it, verify it."`
}

type tlsCheckCmd struct {
	Domain string `arg:"" help:"Recipient domain."`
}

// Run checks a domain. It fails if there are no mail hosts, or they could not be found out.
func (c tlsCheckCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if !s.json() {
		s.note("looking at the mail hosts of %s; this can take a minute", c.Domain)
	}
	a, err := client.CheckTLS(ctx, c.Domain)
	if err != nil {
		return err
	}
	if s.json() {
		err = s.writeJSON(a.JSON)
	} else {
		err = s.showCheck(a.Value)
	}
	switch {
	case err != nil:
		return err
	case a.Value.Error != "":
		return fmt.Errorf("the mail hosts of %s: %s: %s", c.Domain, a.Value.Route, a.Value.Error)
	case len(a.Value.Hosts) == 0:
		return fmt.Errorf("no mail can be delivered to %s: %s", c.Domain, a.Value.Route)
	}
	return nil
}

// showCheck prints a check for people: one line per address, then the domain as a whole.
func (s *session) showCheck(c apiclient.TLSCheck) error {
	if len(c.Hosts) == 0 {
		return nil // the error says it
	}
	t := &table{head: []string{"PREF", "MX HOST", "ADDRESS", "TLS", "NO FLAGS", "SKIP-VERIFICATION", "REQUIRE-TLS", "BOTH"}}
	for _, h := range c.Hosts {
		row := []string{fmt.Sprint(h.Preference), h.MXHost, h.IP, hostTLS(h)}
		t.add(append(row, fourOutcomes(h.Outcomes)...)...)
	}
	if len(c.Outcomes) > 0 {
		t.add(append([]string{"", "mail for " + c.Domain, "", ""}, fourOutcomes(c.Outcomes)...)...)
	}
	if err := t.write(s.env.Stdout); err != nil {
		return err
	}
	return s.showReasons(c.Hosts)
}

// hostTLS says what TLS a host gave.
func hostTLS(h apiclient.HostCheck) string {
	switch d := h.Detail; {
	case h.Error != "" || d == nil:
		return "unreachable"
	case d.Handshake == "completed":
		return d.Version
	case d.StartTLS != "" && d.StartTLS != "offered":
		return d.StartTLS
	default:
		return "handshake " + d.Handshake
	}
}

// fourOutcomes are the cells of the four pairs, in the order of the table.
func fourOutcomes(outcomes []apiclient.TLSOutcome) []string {
	cells := make([]string, 4)
	for _, o := range outcomes {
		i := 0
		if o.SkipVerification {
			i++
		}
		if o.RequireTLS {
			i += 2
		}
		cells[i] = o.Delivery
	}
	return cells
}

// showReasons prints, once each, why hosts did not verify or answer.
func (s *session) showReasons(hosts []apiclient.HostCheck) error {
	var b strings.Builder
	for _, h := range hosts {
		var why []string
		if h.Error != "" {
			why = append(why, h.Error)
		}
		if h.Detail != nil {
			why = append(why, h.Detail.VerifyErrors...)
		}
		if len(why) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", strings.TrimSpace(clean(h.MXHost)+" "+clean(h.IP)), shown(strings.Join(why, "; ")))
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(s.env.Stdout, "\n"+b.String())
	return err
}
