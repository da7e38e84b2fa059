package mail

import "testing"

// What is no text is no domain, and an A-label that would be read as something else is none.
func TestDomainsAreReadAsTheyAreWritten(t *testing.T) {
	for _, s := range []string{"0.\x9a", "a\xff.example", "xn--zn7c.example", "xn--.example", "a.xn--\x80"} {
		if d, err := ParseDomain(s); err == nil {
			t.Errorf("%q is %q", s, d)
		}
	}
	for s, want := range map[string]string{"münchen.example": "xn--mnchen-3ya.example", "XN--MNCHEN-3YA.example": "xn--mnchen-3ya.example", "例え.テスト": "xn--r8jz45g.xn--zckzah"} {
		d, err := ParseDomain(s)
		if err != nil || d != want {
			t.Errorf("%q is %q, %v", s, d, err)
		}
		if again, err := ParseDomain(d); err != nil || again != d {
			t.Errorf("%q is read again as %q, %v", d, again, err)
		}
	}
}
