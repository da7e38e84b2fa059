package merge

import "strings"

// maxKey is how long the name of a place may be, in octets.
const maxKey = 300

// A Text is a text with places for values, taken apart.
type Text []segment

// A segment is literal text, then a value unless key is empty. The key is what stands between
// the percent signs.
type segment struct{ literal, key string }

// Parse finds the places of a text: %recipient%, %recipient_email%, %recipient.key% and so on. Time
// is linear in the length.
func Parse(s string) Text {
	var t Text
	start := 0
	for i := 0; i < len(s); {
		at := strings.Index(s[i:], "%recipient")
		if at < 0 {
			break
		}
		at += i
		end := strings.IndexByte(s[at+1:min(len(s), at+1+maxKey)], '%')
		if end < 0 || !isKey(s[at+1:at+1+end]) {
			i = at + 1
			continue
		}
		t = append(t, segment{s[start:at], s[at+1 : at+1+end]})
		i = at + end + 2
		start = i
	}
	return append(t, segment{literal: s[start:]})
}

// HasPlaces reports whether the text has places, without taking it apart.
func HasPlaces(s string) bool { return strings.Contains(s, "%recipient") && !Parse(s).Plain() }

func isKey(key string) bool {
	switch key {
	case "recipient", "recipient_email", "recipient_name", "recipient_fname", "recipient_lname":
		return true
	}
	name, ok := strings.CutPrefix(key, "recipient.")
	return ok && name != "" && !strings.ContainsAny(name, "\r\n<>")
}

// Plain reports whether the text has no places: it is the same for everybody.
func (t Text) Plain() bool { return len(t) == 0 || len(t) == 1 && t[0].key == "" }

// Fill returns the text for a person. Where there is no value, the place stays as it was typed.
func (t Text) Fill(p *Person) string {
	switch {
	case len(t) == 0:
		return ""
	case t.Plain():
		return t[0].literal
	}
	var b strings.Builder
	b.Grow(int(t.Size(p)))
	for _, s := range t {
		b.WriteString(s.literal)
		if s.key == "" {
			continue
		}
		if v, ok := p.valueOf(s.key); ok {
			b.WriteString(v)
		} else {
			b.WriteByte('%')
			b.WriteString(s.key)
			b.WriteByte('%')
		}
	}
	return b.String()
}

// Size returns how many octets the text has for a person, without writing it.
func (t Text) Size(p *Person) int64 {
	var n int64
	for _, s := range t {
		n += int64(len(s.literal))
		if s.key == "" {
			continue
		}
		if v, ok := p.valueOf(s.key); ok {
			n += int64(len(v))
		} else {
			n += int64(len(s.key)) + 2
		}
	}
	return n
}

// A Count adds up how many octets texts will have for many people. Each place is counted once,
// however often it is repeated, so that a hostile text costs no more than its length plus its
// recipients (SEC-21). The zero Count is empty.
type Count struct {
	fixed int64
	used  map[string]int64
}

// Add counts a text.
func (c *Count) Add(t Text) {
	for _, s := range t {
		c.fixed += int64(len(s.literal))
		if s.key != "" {
			if c.used == nil {
				c.used = map[string]int64{}
			}
			c.used[s.key]++
		}
	}
}

// AddFixed counts octets that are the same for everybody.
func (c *Count) AddFixed(n int64) { c.fixed += n }

// For returns the octets of everything that was added, for one person.
func (c *Count) For(p *Person) int64 {
	n := c.fixed
	for key, times := range c.used {
		size := int64(len(key)) + 2
		if v, ok := p.valueOf(key); ok {
			size = int64(len(v))
		}
		n += times * size
	}
	return n
}
