package mail

// A Mailbox is an address with the name shown for it.
type Mailbox struct {
	Name    string // UTF-8, decoded; may be empty
	Address Address
}

// ParseMailbox reads exactly one mailbox.
func ParseMailbox(s string) (Mailbox, error) { return Mailbox{}, nil }

// ParseMailboxList reads a comma list of mailboxes, at most limit.
func ParseMailboxList(s string, limit int) ([]Mailbox, error) { return nil, nil }

// String returns the mailbox as a header field shows it (RFC 5322 section 3.4).
func (m Mailbox) String() string { return "" }
