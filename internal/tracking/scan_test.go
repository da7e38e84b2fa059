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
		"a%b%unsubscribe_url%":                  true,
		"%UNSUBSCRIBE_URL%":                     false,
		"100% sure, =\r\n%":                     false,
	} {
		for _, size := range []int{1, 3, 1000} {
			s := &Scan{}
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
		s := &Scan{}
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			_, _ = s.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		joined := strings.NewReplacer("=\r\n", "", "=\n", "").Replace(text)
		breaks := strings.Count(text, "=\r\n") + strings.Count(text, "=\n")
		want := strings.Contains(joined, "unsubscribe_url%") || strings.Contains(text, "base64")
		if want && !s.MayUse() && breaks < 10 {
			t.Fatalf("%q in pieces of %d was missed", text, size)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	text := []byte(strings.Repeat("Lorem ipsum dolor sit amet, 100% consectetur https://example.org/%20x\r\n", 1000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s := &Scan{}
		_, _ = s.Write(text)
	}
}
