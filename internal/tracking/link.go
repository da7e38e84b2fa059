package tracking

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Kind is what a link is for. Its numbers are part of links: never change one.
type Kind byte

const (
	Open  Kind = 1 // the image of one pixel
	Click Kind = 2
	// Unsubscribe asks for no more mail of the domain, UnsubscribeTags for no more mail
	// with one of the message's tags.
	Unsubscribe     Kind = 4
	UnsubscribeTags Kind = 5

	clickHTTPS Kind = 3 // a Click whose URL begins with https://, which is left out
)

// A Link is what one of our links says.
type Link struct {
	Kind     Kind
	DomainID int64
	Message  mail.ID // one recipient's
	URL      string  // of Click: where it leads
	// Recipient is who unsubscribes. Other links do not carry it: the message knows.
	Recipient string
	Tags      []string // of UnsubscribeTags
}

var errLink = errors.New("not a link of ours")

const httpsPrefix = "https://"

// encode writes what the link says: kind, domain, message, and the rest as text.
func (l *Link) encode() []byte {
	kind, text := l.Kind, ""
	switch l.Kind {
	case Click:
		rest, ok := strings.CutPrefix(l.URL, httpsPrefix)
		if text = rest; ok {
			kind = clickHTTPS
		}
	case Unsubscribe:
		text = l.Recipient
	case UnsubscribeTags:
		text = l.Recipient + "\n" + strings.Join(l.Tags, "\n")
	}
	b := make([]byte, 0, 1+binary.MaxVarintLen64+8+len(text))
	b = append(b, byte(kind))
	b = binary.AppendUvarint(b, uint64(l.DomainID))
	b = binary.BigEndian.AppendUint64(b, uint64(l.Message))
	return append(b, text...)
}

// decodeLink reads what encode wrote. What it is given was signed by us.
func decodeLink(b []byte) (Link, error) {
	if len(b) == 0 {
		return Link{}, errLink
	}
	l := Link{Kind: Kind(b[0])}
	domain, n := binary.Uvarint(b[1:])
	if n <= 0 || len(b) < 1+n+8 || domain > 1<<62 {
		return Link{}, errLink
	}
	l.DomainID = int64(domain)
	l.Message = mail.ID(binary.BigEndian.Uint64(b[1+n:]))
	text := string(b[1+n+8:])
	switch l.Kind {
	case Open:
	case Click:
		l.URL = text
	case clickHTTPS:
		l.Kind, l.URL = Click, httpsPrefix+text
	case Unsubscribe:
		l.Recipient = text
	case UnsubscribeTags:
		recipient, tags, _ := strings.Cut(text, "\n")
		l.Recipient, l.Tags = recipient, strings.Split(tags, "\n")
	default:
		return Link{}, errLink
	}
	return l, nil
}
