package markup

import (
	"slices"
	"strings"
)

// An Edit says what changes in a text. Its zero value changes nothing.
type Edit struct {
	// Link returns what takes the place of a link, for an absolute http or https URL as a reader
	// would follow it, entities decoded; ok is false for a link that stays. Nil: all stay.
	// What it returns must be an URL of ASCII letters, digits and the characters "-._~:/": it
	// is put in as it is.
	Link func(url string) (with string, ok bool)
	// Places maps placeholders, percent signs included, to what they stand for.
	Places map[string]string
	// Pixel is the URL of an image of one pixel; empty: none. For HTML only.
	Pixel string
	// PixelTop puts the image at the beginning instead of the end, for readers that show only the
	// first 100 kB of a message.
	PixelTop bool
	// Footer is put at the end; empty: none. HTML for [HTML], text for [Text]. Its
	// placeholders are replaced, its links stay.
	Footer string
}

// fill puts the values in the places of a text.
func (e *Edit) fill(text string) string {
	if !strings.Contains(text, "%") || len(e.Places) == 0 {
		return text
	}
	var pairs []string
	for place, value := range e.Places {
		pairs = append(pairs, place, value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// A change puts other octets in the place of some.
type change struct {
	start, end int // of what it replaces; equal where it adds
	with       string
}

// apply makes the changes, which must not overlap. Of those that add at one place the
// first given comes first.
func apply(src string, changes []change) string {
	if len(changes) == 0 {
		return src
	}
	slices.SortStableFunc(changes, func(a, b change) int { return a.start - b.start })
	size := len(src)
	for _, c := range changes {
		size += len(c.with) - (c.end - c.start)
	}
	var b strings.Builder
	b.Grow(size)
	at := 0
	for _, c := range changes {
		b.WriteString(src[at:c.start])
		b.WriteString(c.with)
		at = c.end
	}
	b.WriteString(src[at:])
	return b.String()
}
