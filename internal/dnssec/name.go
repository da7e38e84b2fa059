package dnssec

import "strings"

// cleanName returns an absolute name in lower case without its trailing dot, or
// false if it is none that we would ask for: empty, too long, with an empty
// label or a byte that has a meaning in the presentation format. "." is the root
// and comes back as "".
func cleanName(s string) (string, bool) {
	if s == "." {
		return "", true
	}
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if s == "" || len(s) > 253 {
		return "", false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return "", false
		}
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`\"();@$`, c) >= 0 {
			return "", false
		}
	}
	return s, true
}

// foreignName returns a name from an answer as [Record] has it.
func foreignName(s string) string {
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// isBelow reports whether name is zone or lies below it.
func isBelow(name, zone string) bool {
	return zone == "" || name == zone || strings.HasSuffix(name, "."+zone)
}
