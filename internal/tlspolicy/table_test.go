package tlspolicy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
)

var update = flag.Bool("update", false, "rewrite golden files")

func flagsOf(require, skip bool) Flags {
	return Flags{RequireTLS: Flag{Value: require}, SkipVerification: Flag{Value: skip}}
}

// The requirement for every pair of flags under every recipient policy.
func TestRequireClass(t *testing.T) {
	policies := []struct {
		name  string
		facts Facts
		class [4]Class // (f,f) (f,t) (t,f) (t,t)
	}{
		{"no policy", Facts{}, [4]Class{OV, OA, RV, RA}},
		{"MTA-STS none", Facts{STS: STSNone}, [4]Class{OV, OA, RV, RA}},
		{"MTA-STS not fetched", Facts{STS: STSNoFetch}, [4]Class{OV, OA, RV, RA}},
		{"MTA-STS testing", Facts{STS: STSTesting, STSListed: true}, [4]Class{OV, OA, RV, RA}},
		{"MTA-STS enforce", Facts{STS: STSEnforce, STSListed: true}, [4]Class{RV, RV, RV, RV}},
		{"TLSA usable", Facts{TLSA: TLSAUsable, MXSecure: true}, [4]Class{D, D, D, D}},
		{"TLSA usable, MX insecure", Facts{TLSA: TLSAUsable}, [4]Class{D, D, D, D}},
		{"TLSA unusable", Facts{TLSA: TLSAUnusable, MXSecure: true}, [4]Class{DU, DU, RV, RA}},
		{"look-up failed", Facts{TLSA: TLSAFailed}, [4]Class{X, X, X, X}},
		{"DANE and MTA-STS", Facts{TLSA: TLSAUsable, STS: STSEnforce, STSListed: true}, [4]Class{D, D, D, D}},
		{"TLSA unusable and MTA-STS", Facts{TLSA: TLSAUnusable, STS: STSEnforce, STSListed: true}, [4]Class{RV, RV, RV, RV}},
		{"TLS-Required: No", Facts{Marking: TLSOptional, TLSA: TLSAUsable, STS: STSEnforce}, [4]Class{OA, OA, RV, RA}},
		{"REQUIRETLS", Facts{Marking: RequireTLSStrict, MXSecure: true}, [4]Class{RV, RV, RV, RV}},
		{"REQUIRETLS with TLSA", Facts{Marking: RequireTLSHop, TLSA: TLSAUsable}, [4]Class{D, D, D, D}},
	}
	for _, p := range policies {
		for i, want := range p.class {
			f := p.facts
			f.Flags = flagsOf(i >= 2, i%2 == 1)
			if got := Require(f).Class; got != want {
				t.Errorf("%s, flags (%t,%t): class %s, want %s", p.name, i >= 2, i%2 == 1, got, want)
			}
		}
	}
}

// What to do, row by row: server behaviour against requirement. The letters are
// V verified, U unverified, P plaintext on the same connection, F plaintext on a
// fresh one, N next host, S small ClientHello first.
func TestDecisionTable(t *testing.T) {
	tls := func(pkix bool, match TLSAMatch) Session {
		return Session{StartTLS: Started, Handshake: Completed, Version: TLS12, PKIX: pkix, TLSA: match}
	}
	columns := []struct {
		name  string
		facts Facts
	}{
		{"(f,f)", Facts{}},
		{"(f,t)", Facts{Flags: flagsOf(false, true)}},
		{"(t,f)", Facts{Flags: flagsOf(true, false)}},
		{"(t,t)", Facts{Flags: flagsOf(true, true)}},
		{"STS enforce", Facts{STS: STSEnforce, STSListed: true}},
		{"DANE", Facts{TLSA: TLSAUsable, MXSecure: true}},
		{"TLSA unusable (f,f)", Facts{TLSA: TLSAUnusable}},
		{"TLSA unusable (t,f)", Facts{TLSA: TLSAUnusable, Flags: flagsOf(true, false)}},
		{"look-up failed", Facts{TLSA: TLSAFailed}},
	}
	rows := []struct {
		name    string
		session Session
		want    string // one letter a column
	}{
		{"1 STARTTLS not offered", Session{}, "PPNNNNNNN"},
		{"2 STARTTLS rejected", Session{StartTLS: Rejected}, "PPNNNNNNN"},
		{"2 STARTTLS answered with 421", Session{StartTLS: Broken}, "FFNNNNNNN"},
		{"3 handshake fails", Session{StartTLS: Started, Handshake: Failed}, "FFNNNNNNN"},
		{"3 no answer to a large hello", Session{StartTLS: Started, Handshake: Failed, LargeHello: true, NoServerHello: true}, "SSSSSSSSN"},
		{"4 no answer to a small hello", Session{StartTLS: Started, Handshake: Failed, NoServerHello: true}, "FFNNNNNNN"},
		{"5-8 not verified, no TLSA match", tls(false, NoMatch), "FUNUNNUNN"},
		{"5-8 not verified, DANE-EE matches", tls(false, MatchEE), "FUNUNVUNN"},
		{"8 unknown CA, DANE-TA matches", tls(false, MatchTA), "FUNUNVUNN"},
		{"9 verified, TLSA matches", tls(true, MatchEE), "VVVVVVVVN"},
		{"9 verified", tls(true, NoMatch), "VVVVVNVVN"},
		{"11 TLS 1.1 only", Session{StartTLS: Started, Handshake: TooOld}, "FFNNNNNNN"},
		{"12 STARTTLS gone", Session{TLSBefore: true}, "PPNNNNNNN"},
		{"16 rejected after the handshake", Session{StartTLS: Started, Handshake: LateRejected, LargeHello: true}, "FFNNNNNNN"},
	}
	letter := func(v Verdict) byte {
		switch {
		case v.Action == Deliver && v.Verified:
			return 'V'
		case v.Action == Deliver:
			return 'U'
		}
		return "N?PFS"[v.Action]
	}
	for _, row := range rows {
		for i, col := range columns {
			if got := letter(Judge(Require(col.facts), row.session)); got != row.want[i] {
				t.Errorf("%s, %s: %c, want %c", row.name, col.name, got, row.want[i])
			}
		}
	}
}

// The whole table for review, every class against every kind of session.
func TestGolden(t *testing.T) {
	var b strings.Builder
	policies := []struct {
		name  string
		facts Facts
	}{
		{"none", Facts{}},
		{"sts-testing", Facts{STS: STSTesting, STSListed: true}},
		{"sts-enforce", Facts{STS: STSEnforce, STSListed: true}},
		{"sts-unlisted", Facts{STS: STSEnforce}},
		{"tlsa-usable", Facts{TLSA: TLSAUsable, MXSecure: true}},
		{"tlsa-unusable", Facts{TLSA: TLSAUnusable, MXSecure: true}},
		{"tlsa-failed", Facts{TLSA: TLSAFailed}},
		{"dane+sts", Facts{TLSA: TLSAUsable, STS: STSEnforce, STSListed: true, MXSecure: true}},
		{"tls-optional", Facts{Marking: TLSOptional, STS: STSEnforce}},
		{"requiretls", Facts{Marking: RequireTLSStrict, MXSecure: true}},
	}
	for _, p := range policies {
		for i := range 4 {
			f := p.facts
			f.Flags = flagsOf(i >= 2, i%2 == 1)
			r := Require(f)
			fmt.Fprintf(&b, "%s require-tls=%t skip-verification=%t: %s by %s, mx %s\n", p.name, i >= 2, i%2 == 1, r.Class, r.Source, MXAuthenticated(f))
			for s := range everySession() {
				if (s.LargeHello && s.Handshake != Failed) || (s.TLSBefore && s.StartTLS != NotOffered) {
					continue // makes no difference to the lines above
				}
				v := Judge(r, s)
				fmt.Fprintf(&b, "  %-60s %-15s %s", describe(s), v.Action, v.Result)
				if v.DowngradeSuspected {
					b.WriteString(" downgrade-suspected")
				}
				b.WriteByte('\n')
			}
		}
	}
	path := filepath.Join("testdata", "decision.golden")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the decision differs from %s; if that is meant, run the test with -update and review the difference", path)
	}
}

func describe(s Session) string {
	parts := []string{[...]string{"not-offered", "rejected", "broken", "started"}[s.StartTLS]}
	if s.StartTLS == Started {
		parts = append(parts, [...]string{"none", "failed", "too-old", "late-rejected", "completed"}[s.Handshake])
	}
	for _, b := range []struct {
		set  bool
		name string
	}{
		{s.LargeHello, "large"}, {s.NoServerHello, "silent"}, {s.PKIX, "pkix"}, {s.TLSA == MatchEE, "ee"}, {s.TLSA == MatchTA, "ta"},
		{s.Announced, "announced"}, {s.TLSBefore, "tls-before"},
	} {
		if b.set {
			parts = append(parts, b.name)
		}
	}
	return strings.Join(parts, " ")
}

// What the sender is told when no host met the requirement.
func TestRefusal(t *testing.T) {
	tests := []struct {
		name     string
		marking  Marking
		results  []Result
		all      bool
		code     int
		enhanced string
	}{
		{"not offered", Unmarked, []Result{RefusedNotOffered}, true, 450, "4.7.10"},
		{"rejected", Unmarked, []Result{RefusedStartTLSRejected}, true, 450, "4.7.10"},
		{"handshake", Unmarked, []Result{RefusedHandshakeFailed}, true, 450, "4.7.10"},
		{"not verified", Unmarked, []Result{RefusedVerifyFailed}, true, 450, "4.7.5"},
		{"DANE mismatch", Unmarked, []Result{RefusedDANEMismatch}, true, 450, "4.7.5"},
		{"TLSA look-up", Unmarked, []Result{RefusedTLSALookup}, true, 450, "4.7.5"},
		{"not in policy", Unmarked, []Result{RefusedSTSMX}, true, 450, "4.7.5"},
		{"the last reason counts", Unmarked, []Result{RefusedVerifyFailed, RefusedNotOffered}, true, 450, "4.7.10"},
		{"REQUIRETLS, no TLS anywhere", RequireTLSStrict, []Result{RefusedNotOffered, RefusedNotOffered}, true, 550, "5.7.10"},
		{"REQUIRETLS not announced", RequireTLSStrict, []Result{RefusedREQUIRETLS}, true, 550, "5.7.30"},
		{"REQUIRETLS, a host left untried", RequireTLSStrict, []Result{RefusedNotOffered}, false, 450, "4.7.10"},
		{"REQUIRETLS in hop mode", RequireTLSHop, []Result{RefusedNotOffered}, true, 450, "4.7.10"},
		{"REQUIRETLS, not verified", RequireTLSStrict, []Result{RefusedVerifyFailed}, true, 550, "5.7.10"},
		{"REQUIRETLS, a look-up failed", RequireTLSStrict, []Result{RefusedREQUIRETLS, RefusedTLSALookup}, true, 450, "4.7.5"},
		{"REQUIRETLS, not in policy", RequireTLSStrict, []Result{RefusedSTSMX}, true, 450, "4.7.5"},
		{"nothing to do with TLS", Unmarked, nil, true, 451, "4.4.0"},
	}
	for _, tt := range tests {
		got := Refusal(tt.marking, tt.results, tt.all)
		if got.Code != tt.code || got.Enhanced != tt.enhanced || !got.Local || got.Text == "" {
			t.Errorf("%s: %+v, want %d %s in our own words", tt.name, got, tt.code, tt.enhanced)
		}
	}
}

func TestDemandsTLS(t *testing.T) {
	tests := []struct {
		reply mail.Reply
		want  bool
	}{
		{mail.Reply{Code: 530, Text: "whatever"}, true},
		{mail.Reply{Code: 530, Enhanced: "5.7.0", Text: "Must issue a STARTTLS command first"}, true},
		{mail.Reply{Code: 550, Enhanced: "5.7.10", Text: "Encryption needed"}, true},
		{mail.Reply{Code: 450, Enhanced: "4.7.1", Text: "TLS required"}, true},
		{mail.Reply{Code: 550, Text: "Must issue a STARTTLS command first"}, true}, // Exim
		{mail.Reply{Code: 550, Text: "TLS required"}, true},
		{mail.Reply{Code: 451, Text: "Requires TLS"}, true},
		{mail.Reply{Code: 550, Text: "no such user tls"}, false},
		{mail.Reply{Code: 503, Text: "sender not yet given"}, false},
		{mail.Reply{Code: 554, Enhanced: "5.7.1", Text: "blocked by policy"}, false},
		{mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "no TLS user here"}, false},
		{mail.Reply{Code: 250, Enhanced: "2.7.0", Text: "TLS"}, false},
		{mail.Reply{}, false},
		{mail.LocalReply(530, "5.7.0", "TLS"), false},
	}
	for _, tt := range tests {
		if got := DemandsTLS(tt.reply); got != tt.want {
			t.Errorf("DemandsTLS(%s) = %t", tt.reply, got)
		}
	}
}
