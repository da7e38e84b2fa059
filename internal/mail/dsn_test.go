package mail

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestNotify(t *testing.T) {
	for s, want := range map[string]Notify{
		"NEVER": NotifyNever, "success": NotifySuccess, "DELAY,Failure": NotifyFailure | NotifyDelay, "SUCCESS,FAILURE,DELAY": NotifySuccess | NotifyFailure | NotifyDelay,
	} {
		if got, err := ParseNotify(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
		if again, err := ParseNotify(want.String()); err != nil || again != want {
			t.Errorf("%s is written %q and read %v, %v", s, want, again, err)
		}
	}
	for _, s := range []string{"", ",", "NEVER,NEVER", "NEVER,SUCCESS", "SUCCESS,", "SUCCESS,SUCCESS", "ALWAYS", " SUCCESS"} {
		if got, err := ParseNotify(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// What is stored comes back, and absence is told from it (a queue written before there was DSN).
func TestDSNIsStored(t *testing.T) {
	ann, bob := Address{Local: "Ann", Domain: "x.test"}, Address{Local: "bob", Domain: "x.test"}
	e := Envelope{ReversePath: bob, DSN: &DSN{Return: ReturnFull, EnvelopeID: "a b", Recipients: map[string]RecipientDSN{
		ann.Key(): {Notify: NotifySuccess | NotifyDelay, Original: "rfc822;x+y@z.test"}, bob.Key(): {Original: "utf-8;ü@z.test"},
	}}}
	octets, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var got Envelope
	if err := json.Unmarshal(octets, &got); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%s reads back as %+v, %v", octets, got, err)
	}
	if octets, err := json.Marshal(Envelope{ReversePath: bob}); err != nil || strings.Contains(string(octets), "DSN") {
		t.Errorf("%s, %v", octets, err)
	}
	if part := e.DSN.Only([]Address{ann}); len(part.Recipients) != 1 || part.Of(ann) != e.DSN.Of(ann) || part.Return != ReturnFull {
		t.Errorf("part %+v", part)
	}
	if part := (&DSN{Recipients: e.DSN.Recipients}).Only([]Address{{Local: "x", Domain: "y.test"}}); part != nil {
		t.Errorf("part %+v", part)
	}
}

// RFC 3461 section 4.1: what a sender wants to hear who did not say it.
func TestNotifyOf(t *testing.T) {
	ann := Address{Local: "ann", Domain: "x.test"}
	said := func(r RecipientDSN) map[string]RecipientDSN { return map[string]RecipientDSN{ann.Key(): r} }
	for name, c := range map[string]struct {
		d    *DSN
		want Notify
	}{
		"nothing":        {nil, 0},
		"ORCPT alone":    {&DSN{Recipients: said(RecipientDSN{Original: "rfc822;x@y.test"})}, 0},
		"RET":            {&DSN{Return: ReturnHeader}, NotifyFailure},
		"ENVID":          {&DSN{EnvelopeID: "1"}, NotifyFailure},
		"NOTIFY and RET": {&DSN{Return: ReturnHeader, Recipients: said(RecipientDSN{Notify: NotifyNever})}, NotifyNever},
		"NOTIFY":         {&DSN{Recipients: said(RecipientDSN{Notify: NotifyDelay})}, NotifyDelay},
	} {
		if got := c.d.Notify(ann); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// SEC-11: parameters are decoded, checked and encoded anew; none of them can end a command.
func FuzzDSNParameters(f *testing.F) {
	for _, s := range []string{"rfc822;a+2Bb@x.test", `utf-8;\x{FC}@x.test`, "utf-8;ü@x.test", "x400;+41", "QQ314159", "a+0Db", `utf-8;\x{D800}`, `utf-8;\x{`, "+", "x;+4", "NEVER", "SUCCESS,DELAY"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		plain := func(s string) bool {
			return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
		}
		if id, err := ParseEnvelopeID(s); err == nil {
			written := EncodeXtext(id)
			if again, err := DecodeXtext(written); !plain(written) || err != nil || again != id {
				t.Errorf("%q is written %q and reads back as %q, %v", s, written, again, err)
			}
		}
		for _, utf8ok := range []bool{false, true} {
			o, err := ParseOriginalRecipient(s, utf8ok)
			if err != nil {
				continue
			}
			written := OriginalRecipientParameter(o)
			again, err := ParseOriginalRecipient(written, false)
			if !plain(written) || len(written) <= MaxOriginalRecipient && (err != nil || again != o) {
				t.Errorf("%q is written %q and reads back as %q, %v", s, written, again, err)
			}
		}
		if n, err := ParseNotify(s); err == nil && !strings.EqualFold(n.String(), s) && len(n.String()) != len(s) {
			t.Errorf("%q gives %v", s, n)
		}
	})
}

// SEC-11: an original recipient can be anybody's text, and ends up in notices and terminals.
func TestOriginalRecipientsHoldNoControls(t *testing.T) {
	for _, s := range []string{
		`utf-8;a\x{0A}b@x.test`, `utf-8;a\x{1B}b@x.test`, `utf-8;a\x{7F}b@x.test`, `utf-8;a\x{85}b@x.test`, `utf-8;a\x{2028}b@x.test`, `utf-8;a\x{00}b@x.test`,
		"utf-8;a\u0085b@x.test", "utf-8;a\u2029b@x.test", "rfc822;a+0Ab@x.test", "rfc822;a+0D+0Ab@x.test", "rfc822;a+7Fb@x.test", "rfc822;a+C3+BCb@x.test",
	} {
		if got, err := ParseOriginalRecipient(s, true); err == nil {
			t.Errorf("%q: got %q", s, got)
		}
	}
}
