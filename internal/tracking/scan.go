package tracking

// A Scan looks at a message, as it is written to it in pieces, for signs that a text in it may hold a
// placeholder for a link of ours, without taking it apart: either the placeholder itself, also
// where quoted-printable has broken the line within it, or base64, which could hide anything. It
// is there so that the usual message, which has neither, is not decoded for nothing.
type Scan struct {
	words [2]search
	soft  int // how much of a soft line break, "=\r\n" or "=\n", was seen
}

// NewScan returns a scan of an empty message.
func NewScan() *Scan {
	return &Scan{words: [2]search{newSearch("unsubscribe_url%"), newSearch("base64")}}
}

// MayUse reports whether what was written holds a sign.
func (s *Scan) MayUse() bool { return s.words[0].found || s.words[1].found }

// Write never fails.
func (s *Scan) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case c == '=':
			s.soft = 1
			continue
		case s.soft == 1 && c == '\r':
			s.soft = 2
			continue
		case s.soft > 0 && c == '\n':
			s.soft = 0
			continue
		case s.soft > 0:
			s.soft = 0
			s.feed('=')
		}
		s.feed(c)
	}
	return len(p), nil
}

func (s *Scan) feed(c byte) {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	for i := range s.words {
		s.words[i].feed(c)
	}
}

// A search finds a word in octets that come one by one (Knuth, Morris and Pratt).
type search struct {
	word  string
	fall  []int // by length of what matches: the length to go on with when the next octet does not
	at    int
	found bool
}

func newSearch(word string) search {
	fall := make([]int, len(word)+1)
	for i, k := 1, 0; i < len(word); i++ {
		for k > 0 && word[i] != word[k] {
			k = fall[k]
		}
		if word[i] == word[k] {
			k++
		}
		fall[i+1] = k
	}
	return search{word: word, fall: fall}
}

func (s *search) feed(c byte) {
	if s.found {
		return
	}
	for s.at > 0 && s.word[s.at] != c {
		s.at = s.fall[s.at]
	}
	if s.word[s.at] == c {
		s.at++
	}
	s.found = s.at == len(s.word)
}
