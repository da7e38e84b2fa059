package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type overrideCmds struct {
	Add    overrideAddCmd    `cmd:"" help:"Make an exception for a recipient domain or an MX host."`
	List   overrideListCmd   `cmd:"" help:"List the exceptions that count now."`
	Delete overrideDeleteCmd `cmd:"" help:"End an exception now."`
}

type overrideAddCmd struct {
	Target       string `arg:"" help:"Recipient domain; with --mx-host the name of an MX host."`
	MXHost       bool   `name:"mx-host" help:"The target is an MX host: it counts for every recipient domain there."`
	DANE         string `name:"dane" placeholder:"MODE" help:"What DANE counts for: honor, audit (report only) or ignore."`
	STS          string `name:"mta-sts" placeholder:"MODE" help:"What MTA-STS counts for: honor, audit (report only) or ignore."`
	Requirement  string `placeholder:"CLASS" help:"The class that counts in place of the flags': OV, OA, RV or RA."`
	MinTLS       string `name:"min-tls" placeholder:"VERSION" help:"Lowest version that counts as TLS: 1.0, 1.1, 1.2 or 1.3."`
	OnUnverified string `placeholder:"HOW" help:"What OV does with a certificate that does not verify: plaintext or encrypt."`
	ClientCert   string `placeholder:"NAME" help:"Client certificate to show: client-certs/NAME.pem in the data folder."`
	Reason       string `required:"" placeholder:"TEXT" help:"Why; for the audit log."`
	Expires      string `placeholder:"WHEN" help:"End: a date, a moment or a time from now (14d). Required for what lowers security."`
	Replace      bool   `help:"Replace the override that the target has."`
}

// Run makes an exception.
func (c overrideAddCmd) Run(ctx context.Context, s *session) error {
	settings := map[string]string{
		"dane": c.DANE, "mta-sts": c.STS, "requirement": c.Requirement, "min-tls": c.MinTLS, "on-unverified": c.OnUnverified,
		"client-cert": c.ClientCert, "reason": c.Reason, "expires": c.Expires,
	}
	target := "domain"
	if c.MXHost {
		target = "mx-host"
	}
	settings[target] = c.Target
	if c.Replace {
		settings["replace"] = "yes"
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.CreateOverride(ctx, settings)
	if err != nil {
		return err
	}
	return s.show(a.JSON, overrideTable(a.Value.Override))
}

type overrideListCmd struct {
	All bool `help:"Also those that ended in the last 90 days."`
}

// Run lists exceptions.
func (c overrideListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.Overrides(ctx, c.All)
	if err != nil {
		return err
	}
	return s.show(a.JSON, overrideTable(a.Value.Items...))
}

type overrideDeleteCmd struct {
	ID     string `arg:"" help:"The override's id, as override list shows it."`
	Reason string `placeholder:"TEXT" help:"Why; for the audit log."`
}

// Run ends an exception.
func (c overrideDeleteCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.DeleteOverride(ctx, c.ID, c.Reason)
	if err != nil {
		return err
	}
	return s.show(a.JSON, noteTable(a.Value))
}

// overrideTable is exceptions for people.
func overrideTable(list ...apiclient.Override) *table {
	t := &table{head: []string{"ID", "TARGET", "SETS", "EXPIRES", "AUTHOR", "REASON"}, none: "no overrides"}
	for _, o := range list {
		target := o.Domain
		if o.MXHost != "" {
			target = "mx-host " + o.MXHost
		}
		end := "never"
		switch {
		case !o.Active:
			end = "ended " + instant(o.Expires)
		case !o.Expires.IsZero():
			end = instant(o.Expires)
		}
		t.add(fmt.Sprint(o.ID), target, overrideSets(o), end, o.Author, o.Reason)
	}
	return t
}

// overrideSets is what an exception sets, on one line.
func overrideSets(o apiclient.Override) string {
	var sets []string
	for _, s := range [][2]string{
		{"dane", o.DANE}, {"mta-sts", o.STS}, {"requirement", o.Requirement}, {"min-tls", o.MinTLS}, {"on-unverified", o.OnUnverified}, {"client-cert", o.ClientCert},
	} {
		if s[1] != "" {
			sets = append(sets, s[0]+"="+s[1])
		}
	}
	return strings.Join(sets, " ")
}
