package compose

import (
	"crypto/rand"
	"fmt"
	"io"
	"sort"
	"strings"
)

// An entity is a part to be written: a multipart of others, a text or a file.
type entity struct {
	fields   []entityField
	boundary string
	parts    []*entity // of a multipart

	encoding string
	text     string
	file     *File
	as       Attachment // how a file shows in the summary
}

type entityField struct{ param, name, value string }

// NewBoundary returns text that boundaries are made of. Nobody guesses 125 random bits to place
// them in a part.
func NewBoundary() string { return rand.Text()[1:] }

// multipartOf returns the parts as one; a single part stays alone, none is nil.
func multipartOf(subtype, random string, parts []*entity) *entity {
	switch len(parts) {
	case 0:
		return nil
	case 1:
		return parts[0]
	}
	// "=_" occurs neither in base64 nor in quoted-printable, and 7-bit text cannot know what is
	// random. One multipart's boundary is not the beginning of another's.
	boundary := "=_" + strings.ToUpper(subtype[:1]) + random
	return &entity{
		fields:   []entityField{{"", "Content-Type", mediaValue("multipart/"+subtype, param{"boundary", boundary})}},
		boundary: boundary,
		parts:    parts,
	}
}

func textEntity(media, text string, copies bool) *entity {
	encoding := textEncoding(text, copies)
	return &entity{
		fields: []entityField{
			{"text", "Content-Type", mediaValue(media, param{"charset", "utf-8"})},
			{"text", "Content-Transfer-Encoding", encoding},
		},
		encoding: encoding,
		text:     strings.ToValidUTF8(text, "\uFFFD"),
	}
}

// textEncoding chooses how text travels: as it is where nothing on the way can
// hurt it, else as what is shorter. For one of several copies quoted-printable may be half as long again:
// in base64 everything behind a word that differs would differ too.
func textEncoding(text string, copies bool) string {
	plain, octets, line := true, 0, 0
	for i := range len(text) {
		c := text[i]
		switch {
		case c == '\n' || c == '\r':
			if i > 0 && (text[i-1] == ' ' || text[i-1] == '\t') {
				plain = false // white space at the end of a line gets lost
			}
			line = 0
			continue
		case c >= 0x80 || c == '=':
			octets++
			plain = plain && c == '='
		case c < ' ' && c != '\t' || c == 0x7f:
			octets++
			plain = false
		}
		if line == 0 && (c == '.' || strings.HasPrefix(text[i:], "From ")) {
			plain = false
		}
		if line++; line > encodedLine {
			plain = false
		}
	}
	if n := len(text); n > 0 && (text[n-1] == ' ' || text[n-1] == '\t') {
		plain = false
	}
	most := len(text) / 6 // 3 octets each against 4 for every 3
	if copies {
		most = len(text) / 2
	}
	switch {
	case plain:
		return "7bit"
	case octets > most:
		return "base64"
	}
	return "quoted-printable"
}

func fileEntities(param string, files []File) ([]*entity, error) {
	var list []*entity
	for i := range files {
		e, err := fileEntity(param, &files[i])
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// fileEntity plans a file. kind is its parameter's name and its disposition.
func fileEntity(kind string, f *File) (*entity, error) {
	if err := checkText(kind, f.Name); err != nil {
		return nil, err
	}
	if err := checkText(kind, f.ContentType); err != nil {
		return nil, err
	}
	name := baseName(f.Name)
	if name == "" {
		name = kind
	}
	media, params := fileMedia(f.ContentType)
	e := &entity{
		encoding: "base64",
		file:     f,
		as:       Attachment{Name: name, ContentType: media},
		fields: []entityField{
			{kind, "Content-Type", mediaValue(media, append(params, param{"name", name})...)},
			{kind, "Content-Transfer-Encoding", "base64"},
			{kind, "Content-Disposition", mediaValue(kind, param{"filename", name})},
		},
	}
	if kind == "inline" {
		e.as.ContentID = cleanContentID(name)
		e.fields = append(e.fields, entityField{kind, "Content-ID", "<" + e.as.ContentID + ">"})
	}
	for _, field := range e.fields {
		if _, fits := appendField(nil, field.name, field.value); !fits {
			return nil, invalidField(kind, "has a content type that is too long")
		}
	}
	return e, nil
}

// fileMedia returns a usable media type. Multiparts and messages must not be
// encoded (RFC 2045 section 6.4), and a file has to be: it travels as octets,
// its name tells what it is.
func fileMedia(contentType string) (string, []param) {
	const fallback = "application/octet-stream"
	media, params, ok := parseMedia(contentType)
	if !ok || !strings.Contains(media, "/") || !isASCII(media) || len(media) > 127 ||
		strings.HasPrefix(media, "multipart/") || strings.HasPrefix(media, "message/") {
		return fallback, nil
	}
	var list []param
	for name, value := range params {
		if name != "name" && name != "boundary" && isASCII(value) && len(value) <= MaxFileNameSize {
			list = append(list, param{name, value})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return media, list
}

// write writes the body of the entity and notes the files it wrote. It calls
// itself for the at most three levels that body plans.
func (e *entity) write(w io.Writer, files *[]Attachment) error {
	switch {
	case e.parts != nil:
		return e.writeParts(w, files)
	case e.file != nil:
		n, err := e.writeFile(w)
		if err != nil {
			return fmt.Errorf("write file %q: %w", e.as.Name, err)
		}
		e.as.Size = n
		*files = append(*files, e.as)
		return nil
	}
	if err := e.writeText(w); err != nil {
		return fmt.Errorf("write text: %w", err)
	}
	return nil
}

func (e *entity) writeParts(w io.Writer, files *[]Attachment) error {
	for _, p := range e.parts {
		head := []byte("--" + e.boundary + "\r\n")
		for _, f := range p.fields {
			head, _ = appendField(head, f.name, f.value)
		}
		if _, err := w.Write(append(head, '\r', '\n')); err != nil {
			return fmt.Errorf("write part: %w", err)
		}
		if err := p.write(w, files); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "\r\n"); err != nil {
			return fmt.Errorf("write part: %w", err)
		}
	}
	if _, err := io.WriteString(w, "--"+e.boundary+"--\r\n"); err != nil {
		return fmt.Errorf("write part: %w", err)
	}
	return nil
}

func (e *entity) writeText(w io.Writer) error {
	enc := newEncoder(e.encoding, w)
	text := struct{ io.Reader }{strings.NewReader(e.text)} // in pieces, not as one copy
	if _, err := io.Copy(&textWriter{w: enc}, text); err != nil {
		return err
	}
	return enc.Close()
}

func (e *entity) writeFile(w io.Writer) (int64, error) {
	r, err := e.file.Open()
	if err != nil {
		return 0, err
	}
	enc := newBase64Writer(w)
	n, err := io.Copy(enc, r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = enc.Close()
	}
	if err == nil && e.file.Size != 0 && n != e.file.Size {
		err = fmt.Errorf("has %d octets instead of %d", n, e.file.Size)
	}
	return n, err
}
