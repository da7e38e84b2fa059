package mail

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The presets, setting by setting: a change of what a name means shows here.
func TestPresetTable(t *testing.T) {
	want := strings.TrimLeft(`
default       require=false skip=false floor=false encrypt=false defer=false hop=false suffices=false dane=honor mta-sts=honor min-tls=1.2
bsi-tr-03108  require=false skip=false floor=false encrypt=true  defer=true  hop=false suffices=false dane=honor mta-sts=honor min-tls=1.2
strict        require=true  skip=false floor=true  encrypt=false defer=false hop=false suffices=false dane=honor mta-sts=honor min-tls=1.2
`, "\n")
	var got strings.Builder
	for _, p := range Presets() {
		c := coveredOf(p.Set)
		fmt.Fprintf(&got, "%-13s require=%-5v skip=%-5v floor=%-5v encrypt=%-5v defer=%-5v hop=%-5v suffices=%-5v dane=%s mta-sts=%s min-tls=%s\n",
			p.Name, c.require, c.skip, c.floor, c.encrypt, c.deferDowngrade, c.hop, c.suffices, c.dane, c.sts, c.minTLS)
	}
	if got.String() != want {
		t.Errorf("got:\n%swant:\n%s", got.String(), want)
	}
}

func TestPresetIsShownWhileUnchanged(t *testing.T) {
	own := DomainTLS{Flags: TLSFlags{RequireTLS: False, SkipVerification: True}, Delivery: DomainDelivery{
		GiveUpAfter: time.Hour, Lifetime: 2 * time.Hour, Retry: []time.Duration{time.Minute}, DANE: Ignore, PolicyUntil: noon, MinTLS: TLS13,
	}}
	if name := PresetOf(own); name != "" {
		t.Errorf("settings of nobody are called %q", name)
	}
	if name := PresetOf(DomainTLS{Flags: TLSFlags{RequireTLS: False, SkipVerification: False}}); name != "default" {
		t.Errorf("the default spelled out is called %q", name)
	}
	for _, p := range Presets() {
		got := p.Apply(own)
		if PresetOf(got) != p.Name {
			t.Errorf("after %s the preset is %q", p.Name, PresetOf(got))
		}
		if d := got.Delivery; d.GiveUpAfter != time.Hour || d.Lifetime != 2*time.Hour || len(d.Retry) != 1 || !d.PolicyUntil.IsZero() {
			t.Errorf("%s: how long we try is not its business, the end of policies is: %+v", p.Name, d)
		}
		got.Delivery.Lifetime, got.Delivery.Retry = 0, nil
		if PresetOf(got) != p.Name {
			t.Errorf("a new lifetime changed the name of %s to %q", p.Name, PresetOf(got))
		}
		got.Delivery.DANESuffices = true
		if name := PresetOf(got); name != "" {
			t.Errorf("%s with a change is still called %q", p.Name, name)
		}
	}
}
