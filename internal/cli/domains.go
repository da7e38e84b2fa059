package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type domainCmds struct {
	Add        domainAddCmd        `cmd:"" help:"Register a sending domain and show the DNS records it needs."`
	List       domainListCmd       `cmd:"" help:"List sending domains."`
	Show       domainShowCmd       `cmd:"" help:"Show a sending domain and its DNS records."`
	Verify     domainVerifyCmd     `cmd:"" help:"Look at the DNS records of a sending domain now."`
	Connection domainConnectionCmd `cmd:"" help:"Show or change the two TLS flags of a sending domain."`
	Delivery   domainDeliveryCmd   `cmd:"" help:"Show or change the settings around the two flags, and how long a sending domain's mail is tried."`
	Delete     domainDeleteCmd     `cmd:"" help:"Delete a sending domain and give up its waiting mail."`
}

// tlsFlags are the two flags as arguments; not given is neither true nor false.
type tlsFlags struct {
	RequireTLS       *bool `name:"require-tls" help:"Deliver over TLS or not at all; =false turns it off."`
	SkipVerification *bool `name:"skip-verification" help:"Take any certificate and name; =false checks them."`
}

func (f tlsFlags) flags() apiclient.TLSFlags {
	return apiclient.TLSFlags{RequireTLS: f.RequireTLS, SkipVerification: f.SkipVerification}
}

type domainAddCmd struct {
	Domain string `arg:"" help:"Domain that mail is sent from."`
	tlsFlags
	Active bool `help:"Let it send at once, whatever its DNS records say."`
}

// Run registers a domain.
func (c domainAddCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.CreateDomain(ctx, c.Domain, c.flags())
	if err != nil {
		return err
	}
	if c.Active {
		if a, err = client.SetDomainState(ctx, c.Domain, "active"); err != nil {
			return fmt.Errorf("the domain was registered, but not made active: %w", err)
		}
	}
	return s.showDomain(a)
}

// showDomain prints a domain with its records.
func (s *session) showDomain(a apiclient.Answer[apiclient.DomainView]) error {
	if s.json() {
		return s.writeJSON(a.JSON)
	}
	d := a.Value.Domain
	facts := &table{}
	facts.add("domain", d.Name)
	facts.add("state", d.State)
	facts.add("require-tls", fmt.Sprint(d.RequireTLS))
	facts.add("skip-verification", fmt.Sprint(d.SkipVerification))
	facts.add("created", d.CreatedAt)
	if err := facts.write(s.env.Stdout); err != nil || len(a.Value.Sending) == 0 {
		return err
	}
	return s.showRecords(a.Value.Sending)
}

// showRecords prints DNS records with their whole values, which people copy.
func (s *session) showRecords(records []apiclient.DNSRecord) error {
	var b strings.Builder
	b.WriteString("\nDNS records to publish:\n")
	for _, r := range records {
		fmt.Fprintf(&b, "\n  %s  %s  (%s)\n  %s\n", clean(r.Name), clean(r.Type), clean(r.Valid), clean(r.Value))
		if r.Valid == "invalid" {
			seen := make([]string, len(r.Cached))
			for i, c := range r.Cached {
				seen[i] = clean(c)
			}
			if len(seen) == 0 {
				seen = []string{"nothing"}
			}
			fmt.Fprintf(&b, "  found: %s\n", strings.Join(seen, "\n         "))
		}
	}
	_, err := fmt.Fprint(s.env.Stdout, b.String())
	return err
}

type domainListCmd struct{}

// Run lists domains.
func (domainListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.Domains(ctx)
	if err != nil {
		return err
	}
	t := &table{head: []string{"DOMAIN", "STATE", "REQUIRE-TLS", "SKIP-VERIFICATION", "CREATED"}, none: "no domains; register one with: sealpost domain add"}
	for _, d := range a.Value.Items {
		t.add(d.Name, d.State, fmt.Sprint(d.RequireTLS), fmt.Sprint(d.SkipVerification), d.CreatedAt)
	}
	return s.show(a.JSON, t)
}

type domainShowCmd struct {
	Domain string `arg:"" help:"Sending domain."`
}

// Run shows a domain.
func (c domainShowCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.Domain(ctx, c.Domain)
	if err != nil {
		return err
	}
	return s.showDomain(a)
}

type domainVerifyCmd struct {
	Domain string `arg:"" help:"Sending domain."`
}

// Run looks at a domain's records; it fails while the domain may not send.
func (c domainVerifyCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.VerifyDomain(ctx, c.Domain)
	if err != nil {
		return err
	}
	if err := s.showDomain(a); err != nil {
		return err
	}
	if a.Value.Domain.State != "active" {
		return fmt.Errorf("%s is %s; publish the records above and verify again", c.Domain, a.Value.Domain.State)
	}
	return nil
}

type domainConnectionCmd struct {
	Domain string `arg:"" help:"Sending domain."`
	tlsFlags
	Reason string `placeholder:"TEXT" help:"Why; for the audit log."`
}

// Run changes the flags that are given, and shows both.
func (c domainConnectionCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	var a apiclient.Answer[apiclient.Connection]
	if c.RequireTLS == nil && c.SkipVerification == nil {
		a, err = client.Connection(ctx, c.Domain)
	} else {
		a, err = client.SetConnection(ctx, c.Domain, c.flags(), c.Reason)
	}
	if err != nil {
		return err
	}
	t := &table{}
	t.add("require-tls", fmt.Sprint(a.Value.RequireTLS))
	t.add("skip-verification", fmt.Sprint(a.Value.SkipVerification))
	return s.show(a.JSON, t)
}

type domainDeleteCmd struct {
	Domain string `arg:"" help:"Sending domain."`
}

// Run deletes a domain.
func (c domainDeleteCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.DeleteDomain(ctx, c.Domain)
	if err != nil {
		return err
	}
	return s.show(a.JSON, noteTable(a.Value))
}
