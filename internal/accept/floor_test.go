package accept

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// All pairs of flags of a domain and a message: what counts as lowering, said in
// another way than the code says it. The flags are resolved as for delivery, and the two
// promises compared: TLS or nothing, and then a certificate that verifies.
func TestLoweredEnumerated(t *testing.T) {
	tri := []mail.Tri{mail.Unset, mail.False, mail.True}
	effective := func(message, domain mail.Tri) bool {
		if message != mail.Unset {
			return message == mail.True
		}
		return domain == mail.True
	}
	cases, lowering := 0, 0
	for _, dr := range tri {
		for _, ds := range tri {
			for _, mr := range tri {
				for _, ms := range tri {
					cases++
					domain, message := mail.TLSFlags{RequireTLS: dr, SkipVerification: ds}, mail.TLSFlags{RequireTLS: mr, SkipVerification: ms}
					wasRequired, wasVerified := dr == mail.True, ds != mail.True
					required, verified := effective(mr, dr), !effective(ms, ds)
					want := wasRequired && (!required || wasVerified && !verified)
					got := lowered(domain, message)
					if (len(got) > 0) != want {
						t.Errorf("domain %v, message %v: lowers %q, want %v", domain, message, got, want)
					}
					if slices.Contains(got, "require-tls") != (wasRequired && !required) || slices.Contains(got, "skip-verification") != (wasRequired && wasVerified && !verified) {
						t.Errorf("domain %v, message %v: blames %q", domain, message, got)
					}
					if want {
						lowering++
					}
					for _, floor := range []bool{false, true} {
						d := store.Domain{Name: "mg.example.com", TLS: domain, Delivery: mail.DomainDelivery{Floor: floor}}
						if err := checkFloor(d, message); (err != nil) != (floor && want) {
							t.Errorf("domain %v, floor %v, message %v: %v", domain, floor, message, err)
						}
					}
				}
			}
		}
	}
	// (t, not t): three of nine with require-tls=false, and two more with skip-verification=true; (t,t): three.
	if cases != 81 || lowering != 2*5+3 {
		t.Errorf("%d cases, %d of them lower", cases, lowering)
	}
}

// Through every door: the answer names the flag and the floor, and nothing is stored.
func TestFloorAtEveryDoor(t *testing.T) {
	doors := map[string]func(param, header, value string) Submission{
		"form":         func(p, _, v string) Submission { return form(p, v) },
		"mime":         func(p, _, v string) Submission { return mime("", p, v) },
		"mime field":   func(_, h, v string) Submission { return mime(h + ": " + v + "\r\n") },
		"h: parameter": func(_, h, v string) Submission { return form("h:"+h, v) },
		"smtp":         func(_, h, v string) Submission { return smtp(h + ": " + v + "\r\n") },
	}
	for door, submit := range doors {
		for _, c := range []struct {
			flag, value string
			refused     bool
		}{
			{"require-tls", "no", true}, {"require-tls", "yes", false}, {"require-tls", "", false},
			{"skip-verification", "yes", true}, {"skip-verification", "no", false},
		} {
			t.Run(fmt.Sprintf("%s %s=%s", door, c.flag, c.value), func(t *testing.T) {
				d := domain("mg.example.com")
				d.TLS, d.Delivery.Floor = mail.TLSFlags{RequireTLS: mail.True}, true
				f := newFakeStore(t, d)
				header := map[string]string{"require-tls": "X-Mailgun-Require-TLS", "skip-verification": "X-Mailgun-Skip-Verification"}[c.flag]
				_, err := testRoom(t, f, nil).Accept(t.Context(), submit("o:"+c.flag, header, c.value))
				if !c.refused {
					if err != nil {
						t.Fatal(err)
					}
					f.one(t)
					return
				}
				var e *Error
				if !errors.As(err, &e) || e.Status != 400 || e.Code != 550 || e.Enhanced != "5.7.0" ||
					!strings.HasPrefix(e.Message, c.flag) || !strings.Contains(e.Message, "mg.example.com") || !strings.Contains(e.Message, "floor") {
					t.Errorf("answered %v", err)
				}
				if with, _ := f.messages(); len(with) != 0 {
					t.Error("a message was stored")
				}
			})
		}
	}
}
