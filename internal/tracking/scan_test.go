package tracking

import (
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                      false,
		"a %unsubscribe_url% b":                 true,
		"%tag_unsubscribe_url%":                 true,
		"%tag_unsub=\r\nscribe_url%":            true,
		"%unsub=\nscribe_u=\r\nrl%":             true,
		"ununsubscribe_url%":                    true,
		"unsubscribe_unsubscribe_url%":          true,
		"%unsub\r\nscribe_url%":                 false,
		"%unsub=\rscribe_url%":                  false,
		"%unsub=scribe_url%":                    false,
		"%unsubscribe_email% %unsubscribe_url":  false,
		"Content-Transfer-Encoding: BASE64\r\n": true,
		"bbase6bbase64":                         true,
	} {
		for _, size := range []int{1, 3, 1000} {
			s := NewScan()
			for rest := text; rest != ""; {
				n := min(size, len(rest))
				if got, err := s.Write([]byte(rest[:n])); got != n || err != nil {
					t.Fatal(got, err)
				}
				rest = rest[n:]
			}
			if got := s.MayUse(); got != want {
				t.Errorf("%q in pieces of %d: got %v", text, size, got)
			}
		}
	}
}

// Nothing that has a placeholder is missed.
func FuzzScan(f *testing.F) {
	f.Add("a%unsubscribe_url%", 3)
	f.Add("=\r\n=\n==unsubscribe_url%", 1)
	f.Fuzz(func(t *testing.T, text string, size int) {
		if size < 1 {
			return
		}
		s := NewScan()
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			_, _ = s.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		joined := strings.NewReplacer("=\r\n", "", "=\n", "").Replace(text)
		lower := strings.ToLower(strings.TrimRight(joined, "="))
		want := strings.Contains(lower, "unsubscribe_url%") || strings.Contains(lower, "base64")
		if s.MayUse() != want && isPlainASCII(text) && !strings.Contains(text, "=\r=") {
			t.Fatalf("%q: got %v, want %v", text, s.MayUse(), want)
		}
	})
}

func isPlainASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
