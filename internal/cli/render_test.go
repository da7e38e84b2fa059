package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/apiclient"
	"github.com/sealpost/sealpost/internal/config"
)

func eventOf(t *testing.T, raw string) apiclient.Event {
	t.Helper()
	var e apiclient.Event
	if err := json.Unmarshal([]byte(raw), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// The word must not claim more, or less, than the event does. A refused message went
// nowhere, so it did not go in plaintext.
func TestEventsSayHowTheyTravelled(t *testing.T) {
	tests := []struct{ name, raw, secured, said string }{
		{"accepted", `{"event":"accepted","message":{"headers":{"subject":"Hi"}}}`, "", "Hi"},
		{"verified", `{"event":"delivered","delivery-status":{"tls":true,"certificate-verified":true,"mx-host":"mx.example","code":250,"message":"OK"}}`, "verified", "250 OK"},
		{"unverified", `{"event":"delivered","delivery-status":{"tls":true,"certificate-verified":false,"code":250,"message":"OK"}}`, "unverified", "250 OK"},
		{"TLS without a word on the certificate", `{"event":"delivered","delivery-status":{"tls":true,"code":250}}`, "unverified", "250"},
		{"plaintext", `{"event":"delivered","delivery-status":{"tls":false,"certificate-verified":false,"code":250}}`, "plaintext", "250"},
		{"TLS required and not to be had", `{"event":"failed","severity":"temporary","delivery-status":{"tls":false,"certificate-verified":false,"code":450,"description":"no STARTTLS","retry-seconds":600}}`,
			"none", "450 no STARTTLS (next attempt in 10m0s)"},
		{"no session", `{"event":"failed","severity":"permanent","delivery-status":{"code":602,"message":"Too old","description":""}}`, "", "602 Too old"},
		{"the same words twice are said once", `{"event":"failed","delivery-status":{"code":498,"message":"No MX","description":"No MX"}}`, "", "498 No MX"},
		{"rejected", `{"event":"rejected","reject":{"reason":"policy","description":"too big"}}`, "", "policy too big"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			row := eventRow(eventOf(t, tt.raw))
			if row[3] != tt.secured || row[6] != tt.said {
				t.Errorf("got TLS %q and reply %q, want %q and %q", row[3], row[6], tt.secured, tt.said)
			}
		})
	}
}

func TestEventTimesAreToTheSecondInUTC(t *testing.T) {
	for raw, want := range map[string]string{
		`{"timestamp":1795435200.123456}`: "2026-11-23 12:00:00Z", `{"timestamp":-5}`: "", `{"timestamp":1e300}`: "", `{}`: "",
	} {
		if got := eventRow(eventOf(t, raw))[0]; got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

// SEC-37, SEC-75: a mail server's reply reaches the terminal as text only.
func TestHostileRepliesAreShownEscapedInBothOutputs(t *testing.T) {
	e := eventOf(t, `{"event":"failed","recipient":"a@b.example","timestamp":1,"delivery-status":{"code":550,"message":"\u001b]0;owned\u0007\r\n250 fine`+"\u009b31m\u202e"+`"}}`)
	for _, output := range []string{"table", "json"} {
		var out bytes.Buffer
		s := &session{env: Env{Stdout: &out}, globals: globals{Output: output}}
		if err := s.printEvents()([]apiclient.Event{e}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(out.String(), "\n"), "\n") {
			checkHarmless(t, output, line)
		}
		if lines := strings.Count(out.String(), "\n"); lines > 2 {
			t.Errorf("%s: the reply made lines of its own:\n%s", output, out.String())
		}
	}
}

func TestTLSCheckShowsHostByHostAndTheWhole(t *testing.T) {
	var c apiclient.TLSCheck
	err := json.Unmarshal([]byte(`{"domain":"x.example","route":"found",
	 "mta-sts":{"state":"testing","mode":"testing","id":"7","mx":["*.x.example"],"expires":"2026-12-01T00:00:00Z"},
	 "tls-rpt":{"rua":["mailto:t@x.example"]},"overrides":[{"id":3,"target":"x.example","sets":"dane=audit","reason":"a\u001b[2J"}],"hosts":[
	 {"mx-host":"mx1.x.example","preference":10,"ip":"192.0.2.1","requiretls":true,"tls-detail":{"starttls":"offered","handshake":"completed","version":"TLS 1.3","verify-errors":["expired"],
	   "tlsa":{"state":"usable","count":1,"usable":1,"error":"dane-no-match"}},
	  "outcomes":[{"delivery":"plaintext"},{"skip-verification":true,"delivery":"unverified"},{"require-tls":true,"delivery":"not-delivered"},{"require-tls":true,"skip-verification":true,"delivery":"unverified"}]},
	 {"mx-host":"mx2.x.example","preference":20,"error":"no address\u001b[2J"},
	 {"mx-host":"mx3.x.example","preference":30,"ip":"192.0.2.3","tls-detail":{"starttls":"not-offered","handshake":"none"},"outcomes":[{"delivery":"plaintext"}]}],
	 "outcomes":[{"class":"OV","source":"sender","delivery":"plaintext"},{"class":"OA","source":"sender","skip-verification":true,"delivery":"unverified"},{"class":"RV","source":"sender","require-tls":true,"delivery":"not-delivered"},{"class":"D","source":"dane","require-tls":true,"skip-verification":true,"delivery":"unverified"}]}`), &c)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s := &session{env: Env{Stdout: &out}}
	if err := s.showCheck(c); err != nil {
		t.Fatal(err)
	}
	want := `MTA-STS   testing (id 7, until 2026-12-01), mx *.x.example
TLS-RPT   mailto:t@x.example
override  3: dane=audit, because: a\x1b[2J

PREF  MX HOST             ADDRESS    TLS          DANE      REQUIRETLS  NO FLAGS      SKIP-VERIFICATION  REQUIRE-TLS    BOTH
10    mx1.x.example       192.0.2.1  TLS 1.3      no match  yes         plaintext     unverified         not-delivered  unverified
20    mx2.x.example       -          unreachable  none      -           -             -                  -              -
30    mx3.x.example       192.0.2.3  not-offered  none      -           plaintext     -                  -              -
-     mail for x.example  -          -            -         -           plaintext     unverified         not-delivered  unverified
-     requirement         -          -            -         -           OV by sender  OA by sender       RV by sender   D by dane

mx1.x.example 192.0.2.1: expired; TLSA: dane-no-match
mx2.x.example: no address\x1b[2J
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A startError has its code from another package.
type startError struct{ error }

func (startError) ExitCode() int { return ExitUsage }

func TestExitCodes(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"nothing", nil, ExitOK},
		{"the server said no", &apiclient.Error{Status: 400, Message: "no"}, ExitFailed},
		{"no server", fmt.Errorf("ask: %w", &apiclient.Unreachable{Target: "x", Err: errors.New("refused")}), ExitUnreachable},
		{"no server, in our own words", fmt.Errorf("init: %w", &ExitError{ExitUnreachable, errors.New("away")}), ExitUnreachable},
		{"mistakes in the configuration", &config.Error{Problems: []config.Problem{{Remedy: "x"}}}, ExitUsage},
		{"no configuration", fmt.Errorf("look: %w", config.ErrNoFile), ExitUsage},
		{"a problem of the start", errors.Join(fmt.Errorf("listen: %w", startError{errors.New("port is taken")}), nil), ExitUsage},
		{"anything else", errors.New("odd"), ExitFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var errs bytes.Buffer
			if got := report(Env{Stderr: &errs}, tt.err); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
			if said := errs.String(); (tt.err != nil) != strings.HasPrefix(said, "sealpost: ") {
				t.Errorf("standard error: %q", said)
			}
		})
	}
}
