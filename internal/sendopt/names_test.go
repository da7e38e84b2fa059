package sendopt

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// Every control field means what its parameter means, in any letter case: what can be read
// of it, and what is refused.
func TestControlFieldsMeanWhatParametersMean(t *testing.T) {
	tomorrow := time.Now().Add(20 * time.Hour).UTC().Format(time.RFC1123Z)
	flags := []string{"yes", "no", "TRUE", "False", "", "maybe"}
	tracking := append(flags, "htmlonly", "HTMLonly")
	for field, c := range map[string]struct {
		param  string
		values []string
	}{
		"X-Mailgun-Tag":                           {"o:tag", []string{"one", "Zwölf", strings.Repeat("x", 129), ""}},
		"X-Mailgun-Dkim":                          {"o:dkim", flags},
		"X-Mailgun-Secondary-DKIM":                {"o:secondary-dkim", []string{"example.org/k1", "", "x"}},
		"X-Mailgun-Secondary-DKIM-Public":         {"o:secondary-dkim-public", []string{"example.org/k1"}},
		"X-Mailgun-Deliver-By":                    {"o:deliverytime", []string{tomorrow, "Tue, 04 Feb 2025 22:44:03 GMT", "soon", "Fri, 04 Feb 2050 22:44:03 +0000"}},
		"X-Mailgun-Deliver-Within":                {"o:deliver-within", []string{"1h30m", "90m", "25h", "x"}},
		"X-Mailgun-Drop-Message":                  {"o:testmode", flags},
		"X-Mailgun-Track":                         {"o:tracking", tracking},
		"X-Mailgun-Track-Clicks":                  {"o:tracking-clicks", tracking},
		"X-Mailgun-Track-Opens":                   {"o:tracking-opens", flags},
		"X-Mailgun-Track-Pixel-Location-Top":      {"o:tracking-pixel-location-top", tracking},
		"X-Mailgun-Require-TLS":                   {"o:require-tls", flags},
		"X-Mailgun-Skip-Verification":             {"o:skip-verification", flags},
		"X-Mailgun-Sending-Ip":                    {"o:sending-ip", []string{"192.0.2.1", "x"}},
		"X-Mailgun-Sending-Ip-Pool":               {"o:sending-ip-pool", []string{"60140bc1fee3e84dec5abeeb"}},
		"X-Mailgun-Recipient-Variables":           {"recipient-variables", []string{`{"ann@example.org": {"a": 1}}`, "{"}},
		"X-Mailgun-Template-Name":                 {"template", []string{"welcome"}},
		"X-Mailgun-Template-Version":              {"t:version", []string{"v2"}},
		"X-Mailgun-Template-Variables":            {"t:variables", []string{`{"a": "b"}`, "{"}},
		"X-Mailgun-Delivery-Time-Optimize-Period": {"o:deliverytime-optimize-period", []string{"24h", "72h", "x"}},
		"X-Mailgun-Time-Zone-Localize":            {"o:time-zone-localize", []string{"09:00", "02:30pm", "25:00"}},
		"X-Mailgun-Suppress-Headers":              {"o:suppress-headers", []string{"all", "X-Mailgun-Sid, x-mailgun-tag"}},
	} {
		if controlKey(field) != c.param {
			t.Errorf("%s stands for %q, want %s", field, controlKey(field), c.param)
		}
		for _, value := range c.values {
			now := time.Now()
			want, wantErr := Parse(fields(c.param, value), nil, now, horizon)
			for _, name := range []string{field, strings.ToLower(field), strings.ToUpper(field)} {
				got, err := Parse(nil, fields(name, value), now, horizon)
				if !reflect.DeepEqual(got, want) || (err == nil) != (wantErr == nil) {
					t.Errorf("%s: %q gives %+v, %v; want %+v, %v", name, value, got, err, want, wantErr)
				}
			}
		}
	}
}

// domain,selector is what old programs write.
func TestSecondaryDKIMWithAComma(t *testing.T) {
	for _, field := range []string{"X-Mailgun-Secondary-DKIM", "X-Mailgun-Secondary-DKIM-Public"} {
		want, wantErr := Parse(nil, fields(field, "example.org/k1"), time.Now(), horizon)
		got, err := Parse(nil, fields(field, "example.org,k1"), time.Now(), horizon)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(err, wantErr) {
			t.Errorf("%s: %+v, %v; want %+v, %v", field, got, err, want, wantErr)
		}
	}
}

// Fields that may be repeated are, others may be if they agree.
func TestRepeatedControlFields(t *testing.T) {
	o, err := Parse(nil, fields("X-Mailgun-Tag", "a", "x-mailgun-tag", "b", "X-Mailgun-Variables", `{"x": 1, "y": 2}`, "X-MAILGUN-VARIABLES", `{"y": 3}`, "X-Mailgun-Track", "yes", "X-Mailgun-Track", "yes"), time.Now(), horizon)
	if err != nil || strings.Join(o.Tags, ",") != "a,b" || !reflect.DeepEqual(o.Variables, map[string]string{"x": "1", "y": "3"}) {
		t.Errorf("%q %v, %v", o.Tags, o.Variables, err)
	}
	if _, err := Parse(nil, fields("X-Mailgun-Require-TLS", "yes", "X-Mailgun-Require-TLS", "no"), time.Now(), horizon); err == nil {
		t.Error("two values for one flag")
	}
}
