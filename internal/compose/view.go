package compose

import "io"

// A View is a message taken apart for reading. Texts are valid UTF-8.
type View struct {
	Headers           []Field // in order, unfolded and decoded
	BodyPlain         string  // text/plain parts that are not attachments
	BodyHTML          string
	StrippedText      string // BodyPlain without quoted parts and signature
	StrippedHTML      string
	StrippedSignature string
	Attachments       []Attachment // index = n of ExtractAttachment
	Truncated         bool         // a text was longer than a view holds
}

// ReadView takes a message apart, in one pass.
func ReadView(r io.Reader) (*View, error) { return nil, nil }

// ExtractAttachment finds the n-th attachment (from 0, as in View.Attachments),
// asks begin for a writer and writes the decoded content to it. It returns
// ErrNoAttachment if there is none.
func ExtractAttachment(r io.Reader, n int, begin func(Attachment) (io.Writer, error)) error { return nil }
