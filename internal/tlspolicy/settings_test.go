package tlspolicy

import (
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
)

func TestOverrideOf(t *testing.T) {
	tests := []struct {
		name string
		list []mail.Override
		want Override
	}{
		{"none", nil, Override{}},
		{"everything", []mail.Override{{DANE: mail.Audit, STS: mail.Ignore, Requirement: "RA", MinTLS: mail.TLS10, OnUnverified: mail.UnverifiedEncrypt}},
			Override{Class: RA, HasClass: true, DANE: Audit, STS: Ignore, MinTLS: TLS10, Unverified: UnverifiedEncrypt}},
		{"OV is a class too", []mail.Override{{Requirement: "OV"}}, Override{Class: OV, HasClass: true}},
		{"a class that flags cannot ask for", []mail.Override{{Requirement: "D"}}, Override{}},
		{"the first wins, setting by setting", []mail.Override{{DANE: mail.Honor}, {DANE: mail.Ignore, MinTLS: mail.TLS13}},
			Override{DANE: Honor, MinTLS: TLS13}},
		{"a mode that nobody knows", []mail.Override{{DANE: "off"}}, Override{DANE: Honor}},
	}
	for _, tt := range tests {
		if got := OverrideOf(tt.list); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
