package cli

import (
	"testing"

	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/dnstest"
)

// A resolver that does not validate keeps no mail back, so the doctor warns and does not
// fail; nothing else would show that DANE is off.
func TestDoctorLooksWhetherTheResolverValidates(t *testing.T) {
	for name, tt := range map[string]struct {
		secure bool
		status string
	}{"validates": {true, fine}, "does not": {false, warning}} {
		s := dnstest.Start(t, dnstest.Zone{Origin: ".", Secure: tt.secure, Records: "@ NS a.root-servers.test."})
		addr, err := s.Listen()
		if err != nil {
			t.Fatal(err)
		}
		d := &doctor{cfg: config.Config{Server: config.Server{Hostname: "mx.example.test"}, Delivery: config.Delivery{Resolver: addr.String()}}}
		d.resolver(t.Context())
		var got []string
		for _, f := range d.findings {
			if f.Check == "DNSSEC" {
				got = append(got, f.Status)
			}
		}
		if len(got) != 1 || got[0] != tt.status {
			t.Errorf("%s: %+v", name, d.findings)
		}
	}
}
