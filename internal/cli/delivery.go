package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

// domainDeliveryCmd leaves what words mean to the server; an argument that is not
// given changes nothing.
type domainDeliveryCmd struct {
	Domain              string `arg:"" help:"Sending domain."`
	Preset              string `placeholder:"NAME" help:"Set all that a preset covers, the two flags among it: default, bsi-tr-03108 or strict. What is given beside it comes on top."`
	Floor               string `placeholder:"yes|no" help:"Refuse messages whose flags lower what the domain's flags require."`
	OnUnverified        string `placeholder:"HOW" help:"Without flags, when a certificate does not verify: plaintext or encrypt."`
	DowngradeProtection string `placeholder:"off|defer" help:"Wait for a host that offered STARTTLS before and stopped."`
	MinTLS              string `name:"min-tls" placeholder:"VERSION" help:"Lowest version that counts as TLS: 1.2 or 1.3."`
	DANE                string `name:"dane" placeholder:"MODE" help:"What DANE counts for: honor, audit (report only) or ignore; the last two need --expires and --reason."`
	STS                 string `name:"mta-sts" placeholder:"MODE" help:"What MTA-STS counts for: honor, audit or ignore; likewise."`
	Expires             string `placeholder:"WHEN" help:"End of audit and ignore: a date, a moment or a time from now (14d)."`
	DANESatisfies       string `name:"dane-satisfies-mta-sts" placeholder:"yes|no" help:"A matching TLSA record also satisfies an enforced MTA-STS policy."`
	RequireTLSMode      string `name:"requiretls-mode" placeholder:"strict|hop" help:"Follow RFC 8689 to the letter, or hold only our own hop to REQUIRETLS."`
	GiveUpAfter         string `name:"require-tls-give-up-after" placeholder:"TIME" help:"Give up a message that lacks the required TLS so long after acceptance: a duration, now (at the first failure) or default."`
	Retry               string `placeholder:"TIMES" help:"Waits between attempts, separated by commas, or default."`
	Lifetime            string `placeholder:"TIME" help:"How long a message may stay queued, or default."`
	Reason              string `placeholder:"TEXT" help:"Why; for the audit log."`
}

// settings are the arguments by the names of the API.
func (c domainDeliveryCmd) settings() map[string]string {
	return map[string]string{
		"preset": c.Preset, "floor": c.Floor, "on-unverified": c.OnUnverified, "downgrade-protection": c.DowngradeProtection,
		"min-tls": c.MinTLS, "dane": c.DANE, "mta-sts": c.STS, "expires": c.Expires, "dane-satisfies-mta-sts": c.DANESatisfies,
		"requiretls-mode": c.RequireTLSMode, "require-tls-give-up-after": c.GiveUpAfter, "retry": c.Retry, "lifetime": c.Lifetime,
	}
}

// Run changes the settings that are given, and shows all.
func (c domainDeliveryCmd) Run(ctx context.Context, s *session) error {
	settings, some := c.settings(), false
	for _, value := range settings {
		some = some || value != ""
	}
	if !some && c.Reason != "" {
		return usagef("--reason is for a change, and nothing is changed")
	}
	settings["reason"] = c.Reason
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	var a apiclient.Answer[apiclient.DeliverySettings]
	if some {
		a, err = client.SetDelivery(ctx, c.Domain, settings)
	} else {
		a, err = client.Delivery(ctx, c.Domain)
	}
	if err != nil {
		return err
	}
	return s.show(a.JSON, deliveryTable(a.Value))
}

// deliveryTable is a domain's settings for people.
func deliveryTable(d apiclient.DeliverySettings) *table {
	word := func(s, none string) string {
		if s == "" {
			return none
		}
		return s
	}
	yes := map[bool]string{true: "yes", false: "no"}
	t := &table{}
	t.add("preset", word(d.Preset, "none"))
	t.add("floor", yes[d.Floor])
	t.add("on-unverified", d.OnUnverified)
	t.add("downgrade-protection", d.DowngradeProtection)
	t.add("min-tls", d.MinTLS)
	t.add("dane", until(d.DANE, d.PolicyExpires))
	t.add("mta-sts", until(d.STS, d.PolicyExpires))
	t.add("dane-satisfies-mta-sts", yes[d.DANESatisfiesMTASTS])
	t.add("requiretls-mode", d.RequireTLSMode)
	t.add("require-tls-give-up-after", d.GiveUpAfter)
	t.add("retry", word(strings.Join(d.Retry, ","), "default"))
	t.add("lifetime", word(d.Lifetime, "default"))
	return t
}

// until shows a policy mode with its end, where it has one.
func until(mode, end string) string {
	if mode == "honor" || end == "" {
		return mode
	}
	if t, err := time.Parse(time.RFC3339, end); err == nil {
		end = instant(t)
	}
	return fmt.Sprintf("%s until %s", mode, end)
}
