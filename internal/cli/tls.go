package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type tlsCmds struct {
	Check    tlsCheckCmd   `cmd:"" help:"Say what would happen to mail for a domain under each pair of flags, host by host, without sending any."`
	Override overrideCmds  `cmd:"" help:"Exceptions for recipient domains and MX hosts, with a reason and an end."`
	Report   tlsReportCmd  `cmd:"" help:"Read TLS reports (RFC 8460) that others sent about your domains, and say what they mean."`
	Reports  tlsReportsCmd `cmd:"" help:"List the TLS reports that this server sent or is going to send."`
	Impact   tlsImpactCmd  `cmd:"" help:"Say how much of a sending domain's mail each pair of flags would deliver verified, unverified, in plaintext or not at all, and to whom."`
	Evidence evidenceCmds  `cmd:"" help:"Signed evidence of deliveries: show it, export it, verify it."`
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

// showCheck prints a check for people: what the domain published, one line per address,
// then the domain as a whole.
func (s *session) showCheck(c apiclient.TLSCheck) error {
	if len(c.Hosts) == 0 {
		return nil // the error says it
	}
	if err := s.showPublished(c); err != nil {
		return err
	}
	t := &table{head: []string{"PREF", "MX HOST", "ADDRESS", "TLS", "DANE", "REQUIRETLS", "NO FLAGS", "SKIP-VERIFICATION", "REQUIRE-TLS", "BOTH"}}
	for _, h := range c.Hosts {
		row := []string{fmt.Sprint(h.Preference), h.MXHost, h.IP, hostTLS(h), hostDANE(h), hostREQUIRETLS(h)}
		t.add(append(row, fourOutcomes(h.Outcomes)...)...)
	}
	if len(c.Outcomes) > 0 {
		t.add(append([]string{"", "mail for " + c.Domain, "", "", "", ""}, fourOutcomes(c.Outcomes)...)...)
		t.add(append([]string{"", "requirement", "", "", "", ""}, fourClasses(c.Outcomes)...)...)
	}
	if err := t.write(s.env.Stdout); err != nil {
		return err
	}
	return s.showReasons(c.Hosts)
}

// showPublished prints what the domain published and what is excepted from it.
func (s *session) showPublished(c apiclient.TLSCheck) error {
	t := &table{}
	sts := "no policy"
	if p := c.STS; p != nil {
		sts = p.State
		if p.ID != "" {
			sts += fmt.Sprintf(" (id %s, until %s), mx %s", p.ID, p.Expires.Format(time.DateOnly), strings.Join(p.MX, " "))
		}
		if p.Honor != "" {
			sts += ", only to " + p.Honor
		}
		if p.Error != "" {
			sts += "; " + p.Error
		}
	}
	t.add("MTA-STS", sts)
	rpt := "nobody asks for reports"
	if r := c.TLSRPT; r != nil {
		if rpt = strings.Join(r.RUA, ", "); r.Error != "" {
			rpt = r.Error
		}
	}
	t.add("TLS-RPT", rpt)
	for _, o := range c.Overrides {
		t.add("override", fmt.Sprintf("%d: %s, because: %s", o.ID, o.Sets, o.Reason))
	}
	if err := t.write(s.env.Stdout); err != nil {
		return err
	}
	_, err := io.WriteString(s.env.Stdout, "\n")
	return err
}

// hostDANE says what TLSA records a host has.
func hostDANE(h apiclient.HostCheck) string {
	if h.Detail == nil || h.Detail.TLSA == nil {
		return "none"
	}
	switch d := h.Detail.TLSA; {
	case d.State == "usable" && d.Matched != "":
		return "matches"
	case d.State == "usable" && h.Detail.Handshake == "completed":
		return "no match"
	default:
		return d.State
	}
}

// hostREQUIRETLS says whether a host takes REQUIRETLS.
func hostREQUIRETLS(h apiclient.HostCheck) string {
	switch {
	case h.Detail == nil || h.Detail.Handshake != "completed":
		return ""
	case h.REQUIRETLS:
		return "yes"
	}
	return "no"
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
	return fourCells(outcomes, func(o apiclient.TLSOutcome) string { return o.Delivery })
}

// fourClasses are the requirements of the four pairs, and who decided them.
func fourClasses(outcomes []apiclient.TLSOutcome) []string {
	return fourCells(outcomes, func(o apiclient.TLSOutcome) string { return o.Class + " by " + o.Source })
}

func fourCells(outcomes []apiclient.TLSOutcome, cell func(apiclient.TLSOutcome) string) []string {
	cells := make([]string, 4)
	for _, o := range outcomes {
		i := 0
		if o.SkipVerification {
			i++
		}
		if o.RequireTLS {
			i += 2
		}
		cells[i] = cell(o)
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
			if d := h.Detail.TLSA; d != nil && d.Error != "" {
				why = append(why, "TLSA: "+d.Error)
			}
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
