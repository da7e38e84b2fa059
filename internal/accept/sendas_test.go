package accept

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// SEC-57: every combination, and the sentences that must hold for all of them.
func TestMaySendAs(t *testing.T) {
	const sending = "mg.example.com"
	registered := []string{sending, "news.example.com", "other.example", "co.uk"}
	owner := func(as string) string {
		for _, p := range parents(as) {
			if slices.Contains(registered, p) {
				return p
			}
		}
		return ""
	}
	domains := []string{
		"", sending, "a." + sending, "example.com", "www.example.com", "news.example.com", "x.news.example.com",
		"other.example", "x.other.example", "free.test", "com", "co.uk", "shop.co.uk", "notmg.example.com.evil.test", "xmg.example.com",
	}
	got := map[string][]string{}
	for _, door := range []Door{HTTP, SMTP} {
		for _, reach := range []string{"domain", "other account", "account"} {
			wide := reach != "domain"
			for _, rp := range []bool{false, true} {
				key := fmt.Sprintf("%v reach=%v reversepath=%v", door, reach, rp)
				for _, as := range domains {
					c := claim{Door: door, Sending: sending, AccountWide: wide, ReversePath: rp, As: as, Owner: owner(as), Sibling: reach == "account"}
					ok := maySendAs(c)
					if ok {
						got[key] = append(got[key], as)
					}
					if foreign := c.Owner != "" && c.Owner != sending; ok && foreign && reach != "account" {
						t.Errorf("%s: a domain's sender may appear as its neighbour %s", key, as)
					}
					if within := as == sending || strings.HasSuffix(as, "."+sending); within && !ok {
						t.Errorf("%s: may not appear as %s", key, as)
					}
					if ok && (rp || door == SMTP) && !aligned(as, sending) {
						t.Errorf("%s: may appear as %s, which is not aligned", key, as)
					}
				}
			}
		}
	}
	own := []string{sending, "a." + sending, "example.com", "www.example.com"}
	alignedToo := []string{sending, "a." + sending, "example.com", "www.example.com", "news.example.com", "x.news.example.com", "xmg.example.com"}
	want := map[string][]string{
		"http wide=false reversepath=false": append(slices.Clone(own), "free.test", "com", "notmg.example.com.evil.test", "xmg.example.com"),
		"http wide=false reversepath=true":  append(slices.Clone(own), "xmg.example.com"),
		"http wide=true reversepath=false":  slices.DeleteFunc(slices.Clone(domains), func(s string) bool { return s == "" }),
		"http wide=true reversepath=true":   alignedToo,
		"smtp wide=false reversepath=false": append(slices.Clone(own), "xmg.example.com"),
		"smtp wide=false reversepath=true":  append(slices.Clone(own), "xmg.example.com"),
		"smtp wide=true reversepath=false":  alignedToo,
		"smtp wide=true reversepath=true":   alignedToo,
	}
	for key, list := range want {
		// However wide a key is, for another account's domains it is like a domain's.
		other := strings.Replace(key, "wide=true", "reach=other account", 1)
		if narrow := strings.Replace(key, "wide=true", "wide=false", 1); other != key && !slices.Equal(got[other], want[narrow]) {
			t.Errorf("%s\n got %v\nwant %v", other, got[other], want[narrow])
		}
		key = strings.NewReplacer("wide=false", "reach=domain", "wide=true", "reach=account").Replace(key)
		if !slices.Equal(got[key], list) {
			t.Errorf("%s\n got %v\nwant %v", key, got[key], list)
		}
	}
}

func TestPublicSuffixesAreAlignedWithNothing(t *testing.T) {
	for _, pair := range [][2]string{{"a.co.uk", "b.co.uk"}, {"co.uk", "a.co.uk"}, {"one.github.io", "two.github.io"}} {
		if aligned(pair[0], pair[1]) {
			t.Errorf("%s and %s count as one organisation", pair[0], pair[1])
		}
	}
	if !aligned("a.b.shop.co.uk", "shop.co.uk") {
		t.Error("a subdomain is not aligned with its organisation")
	}
}
