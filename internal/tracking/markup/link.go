package markup

import (
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/idna"
)

// MaxURL is how long a link may be that is replaced, in octets. The link that takes its
// place is longer by a third, and programs on its way cut off at about 4,000.
const MaxURL = 2048

// placeholder is what senders write where a value of ours or of their own is to be put
// in. It is no percent-encoding: that has hexadecimal digits only. What still stands there when links are
// looked for was not filled in, and such a link leads nowhere we could know.
var placeholder = regexp.MustCompile(`%(?:recipient(?:[._][^%\s]*)?|(?:tag_|mailing_list_)?unsubscribe_(?:url|email))%`)

// followed returns the address to which a reader that follows the link goes; ok is false for
// what is not an absolute http or https URL that we can lead to as well. Readers take white
// space off its ends and line breaks out of its middle, and encode spaces (WHATWG URL, section 4.4).
func followed(link string) (u string, ok bool) {
	u = strings.TrimFunc(link, func(r rune) bool { return r <= ' ' })
	if !isWeb(u) {
		return "", false
	}
	if strings.ContainsAny(u, "\t\r\n ") {
		u = strings.NewReplacer("\t", "", "\r", "", "\n", "", " ", "%20").Replace(u)
	}
	unfit := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }
	if len(u) > MaxURL || strings.ContainsFunc(u, unfit) || strings.Contains(u, "%") && placeholder.MatchString(u) {
		return "", false
	}
	parsed, err := url.Parse(u)
	if err != nil || parsed.Hostname() == "" || strings.ContainsAny(parsed.Host, `\ <>"`) {
		return "", false
	}
	return asciiHost(u, parsed.Host)
}

// isWeb reports whether the link begins with http:// or https://.
func isWeb(link string) bool {
	_, rest, ok := strings.Cut(link[:min(len(link), len("https://"))], ":")
	if !ok || !strings.HasPrefix(rest, "/") {
		return false
	}
	return hasPrefixFold(link, "http://") || hasPrefixFold(link, "https://")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// asciiHost writes the host of an URL in A-labels: a redirect has no other way to name it.
func asciiHost(u, host string) (string, bool) {
	if isASCII(host) {
		return u, true
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", false
	}
	return strings.Replace(u, host, ascii, 1), true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
