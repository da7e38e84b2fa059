package refusal

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
)

// readTable reads testdata/replies.txt: kind, then the reply as it comes over the wire.
func readTable(t testing.TB) (kinds []string, replies []mail.Reply) {
	t.Helper()
	f, err := os.Open("testdata/replies.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		kind, rest, _ := strings.Cut(line, " ")
		code, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, err := strconv.Atoi(code)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		r := mail.Reply{Code: n, Text: rest}
		if status, text, _ := strings.Cut(rest, " "); strings.Count(status, ".") == 2 && strings.Trim(status, "0123456789.") == "" {
			r.Enhanced, r.Text = status, text
		}
		kinds, replies = append(kinds, kind), append(replies, r)
	}
	return kinds, replies
}

func TestOf(t *testing.T) {
	kinds, replies := readTable(t)
	if len(replies) < 60 {
		t.Fatalf("%d replies", len(replies))
	}
	for i, r := range replies {
		if got := Of(r).String(); got != kinds[i] {
			t.Errorf("%s: %s, want %s", r, got, kinds[i])
		}
		if r.Local = true; Of(r) != Other {
			t.Errorf("%s: our own words are taken for a host's", r)
		}
		if r.Local, r.Code = false, 450; Of(r) != Other {
			t.Errorf("%s: temporary, and taken for permanent", r)
		}
	}
}

// Whatever a host says under a status of policy, it is never the address's fault.
func TestPolicyStatusIsNeverTheAddress(t *testing.T) {
	_, replies := readTable(t)
	for _, r := range replies {
		for _, status := range []string{"5.7.0", "5.7.1", "5.7.10", "5.7.26", "5.7.606"} {
			if r.Enhanced = status; Of(r) == Address {
				t.Errorf("%s is taken for the address's fault", r)
			}
		}
	}
}

func FuzzOf(f *testing.F) {
	_, replies := readTable(f)
	for _, r := range replies {
		f.Add(r.Code, r.Enhanced, r.Text)
	}
	f.Fuzz(func(t *testing.T, code int, enhanced, text string) {
		r := mail.Reply{Code: code, Enhanced: enhanced, Text: text}
		k := Of(r)
		if k.String() == "" || Of(r) != k {
			t.Errorf("%q: %v", r, k)
		}
		if k != Other && !r.Permanent() {
			t.Errorf("%q is %v", r, k)
		}
		if k == Address && strings.HasPrefix(enhanced, "5.7.") {
			t.Errorf("%q is %v", r, k)
		}
	})
}

func BenchmarkOf(b *testing.B) {
	r := mail.Reply{Code: 550, Text: "Requested action not taken: mailbox unavailable"}
	for b.Loop() {
		Of(r)
	}
}
