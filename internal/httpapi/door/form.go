package door

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/compose"
)

// Limits on forms. They bound what one request can make us hold.
const (
	maxBody       = 52_428_800    // octets of a request body, inflated; clients know it as 52.4MiB
	maxContent    = 26 << 20      // octets of all fields and files: a message with its overhead
	maxFields     = 1100          // fields that are not files
	maxFiles      = 100           // files
	maxField      = 10 << 20      // octets of one field
	maxFieldName  = 1000          // octets of a field's name
	maxPartHeader = 8 << 10       // octets of the header of a part
	maxSmallBody  = 1 << 20       // octets of the body of calls that take no message
	partSlack     = 4<<10 + 4<<10 // what the multipart reader may read ahead, twice
	formMedia     = "multipart/form-data"
	urlMedia      = "application/x-www-form-urlencoded"
)

var ErrTooLarge = &Problem{Status: http.StatusRequestEntityTooLarge, Message: "request size exceeds 52.4MiB limit"}

// errContentTooLarge: the request could be read, but its message could not be sent.
var errContentTooLarge = &Problem{Status: http.StatusRequestEntityTooLarge, Message: "message size exceeds 25 MiB limit"}

// FormRules are the limits for one kind of call.
type FormRules struct {
	Body    int64 // octets read from the client
	Content int64 // octets of all fields and files
	Field   int64 // octets of one field
	// Spooled names fields that may be as large as the content and are kept like
	// files, whether they come as files or not.
	Spooled map[string]bool
	// Multipart: no other form is accepted.
	Multipart bool
}

// SmallForm are the rules for calls that take no message: 1 MiB.
func SmallForm() FormRules {
	return FormRules{Body: maxSmallBody, Content: maxSmallBody, Field: maxSmallBody}
}

// SendForm are the rules for calls that take a message in pieces.
func SendForm() FormRules {
	return FormRules{Body: maxBody, Content: maxContent, Field: maxField, Spooled: map[string]bool{"attachment": true, "inline": true}}
}

// MIMEForm are the rules for calls that take a message as it is.
func MIMEForm() FormRules {
	return FormRules{
		Body: maxBody, Content: maxContent, Field: maxField, Multipart: true,
		Spooled: map[string]bool{"message": true, "attachment": true, "inline": true},
	}
}

// A Form is a request's parameters in their order. It must be closed.
type Form struct {
	Fields  []compose.Field // names without a trailing []
	uploads []Upload

	left    int64 // octets that may still come
	longest int64 // octets of one field
	memory  *budget
	held    int64 // octets taken from memory
	spool   *spool
}

// An Upload is a file, or a spooled field, of a form.
type Upload struct {
	field       string
	name        string // file name, last element only; empty for a field
	contentType string
	section     section
}

// Close gives back what the form holds. Its files cannot be read any more.
func (f *Form) Close() {
	f.memory.give(f.held)
	f.held = 0
	f.spool.close()
}

// Form reads the request's body and query into a form. On error nothing
// remains to be closed.
func (r *Request) Form(rules FormRules) (*Form, error) {
	f := &Form{left: rules.Content, longest: rules.Field, memory: r.door.memory, spool: newSpool(r.door.cfg.SpoolDir)}
	err := f.read(r.Request, rules)
	if err == nil {
		err = f.readQuery(r.URL.RawQuery)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// read reads the body, if the method has one. Some clients send a form's content
// type with GET and DELETE, and nothing behind it.
func (f *Form) read(r *http.Request, rules FormRules) error {
	if r.Method != http.MethodPost && r.Method != http.MethodPut && r.Method != http.MethodPatch {
		return nil
	}
	if r.ContentLength > rules.Body {
		return ErrTooLarge
	}
	raw := &limitedReader{r: r.Body, left: rules.Body}
	body, err := inflated(r, raw, rules.Body)
	if err != nil {
		return err
	}
	err = f.readBody(body, r.Header.Get("Content-Type"), rules)
	if errors.Is(err, errContentTooLarge) {
		// Read to the end, so that the client listens to the answer instead of
		// meeting a closed connection.
		_, _ = io.Copy(io.Discard, raw)
	}
	return err
}

func (f *Form) readBody(body io.Reader, contentType string, rules FormRules) error {
	media, args, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && media == formMedia:
		if b := args["boundary"]; b == "" || len(b) > 70 {
			return BadRequest("malformed multipart/form-data request")
		}
		return f.readMultipart(body, args["boundary"], rules)
	case rules.Multipart:
		if empty, err := isEmpty(body); err != nil || empty && contentType == "" {
			return err
		}
		return BadRequest("Invalid request content type. Expecting 'multipart/form-data' but got '%s'", Shown(contentType))
	case err == nil && media == urlMedia:
		return f.readURLEncoded(body, rules)
	}
	empty, err := isEmpty(body)
	if err != nil || empty {
		return err
	}
	return BadRequest("Invalid request content type. Expecting 'multipart/form-data' but got '%s'", Shown(contentType))
}

// mediaType returns the media type of a Content-Type field in lower case, without parameters.
func mediaType(contentType string) string {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return media
}

// inflated undoes a gzip coding. The limit holds for what comes out of it.
func inflated(r *http.Request, body io.Reader, limit int64) (io.Reader, error) {
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(body)
		if errors.Is(err, io.EOF) {
			return bytes.NewReader(nil), nil
		}
		if err != nil {
			return nil, bodyError(err)
		}
		return &limitedReader{r: z, left: limit}, nil
	}
	return nil, &Problem{Status: http.StatusUnsupportedMediaType, Message: "Content-Encoding must be gzip or identity"}
}

func isEmpty(body io.Reader) (bool, error) {
	var b [1]byte
	n, err := io.ReadFull(body, b[:])
	if n == 0 && errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, bodyError(err)
}

// readMultipart reads multipart/form-data part by part.
func (f *Form) readMultipart(body io.Reader, boundary string, rules FormRules) error {
	headers := &headerLimiter{r: body}
	// The multipart reader takes the end of its input for the end of the form in
	// places where it is not. Behind the body it finds an error instead, and before that
	// the line end that some clients leave off their last boundary.
	mr := multipart.NewReader(io.MultiReader(headers, strings.NewReader("\r\n"), brokenOff{}), boundary)
	for {
		headers.left = maxPartHeader + partSlack
		headers.on = true
		p, err := mr.NextRawPart()
		headers.on = false
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) && headers.read == 0 {
			return nil // after the last boundary, or in a body without an octet
		}
		if err != nil {
			return bodyError(err)
		}
		if err := f.readPart(p, rules); err != nil {
			return err
		}
	}
}

// brokenOff is what lies behind the end of a body.
type brokenOff struct{}

// Read returns io.ErrUnexpectedEOF.
func (brokenOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// readPart takes one part. A part without a name is passed over.
func (f *Form) readPart(p *multipart.Part, rules FormRules) error {
	name := strings.TrimSuffix(p.FormName(), "[]")
	_, disposition, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	_, isFile := disposition["filename"]
	switch {
	case len(name) > maxFieldName:
		return BadRequest("a parameter name is longer than %d octets", maxFieldName)
	case name == "":
		return f.skip(p)
	case isFile || rules.Spooled[name]:
		return f.spoolPart(p, name, isFile)
	}
	value, err := f.readValue(p, name)
	if err != nil {
		return err
	}
	return f.add(name, value)
}

// skip reads what nobody wants. It counts as content all the same.
func (f *Form) skip(r io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(r, f.left+1))
	if f.left -= n; f.left < 0 {
		return errContentTooLarge
	}
	return bodyError(err)
}

// spoolPart keeps a part's octets outside the form's memory.
func (f *Form) spoolPart(p *multipart.Part, name string, isFile bool) error {
	if len(f.uploads) == maxFiles {
		return BadRequest("a request may have at most %d files", maxFiles)
	}
	s, err := f.spool.take(io.LimitReader(p, f.left+1))
	if err != nil {
		return bodyError(err)
	}
	if f.left -= s.size; f.left < 0 {
		return errContentTooLarge
	}
	if !isFile && s.size == 0 {
		return nil // an empty field is one that was not given
	}
	filename := ""
	if isFile {
		filename = baseName(p.FileName())
	}
	f.uploads = append(f.uploads, Upload{name, filename, p.Header.Get("Content-Type"), s})
	return nil
}

// readValue reads a field into memory.
func (f *Form) readValue(r io.Reader, name string) (string, error) {
	value, err := f.readAll(r, min(f.longest, f.left))
	if errors.Is(err, errTooLong) && f.left > f.longest {
		return "", BadRequest("'%s' parameter is longer than %d octets", Shown(name), f.longest)
	}
	return value, err
}

// errTooLong is what readAll says of more than its limit.
var errTooLong = fmt.Errorf("too long: %w", errContentTooLarge)

// readAll reads r into memory, which is taken from what all forms share: twice
// what is read, for the text and what becomes of it.
func (f *Form) readAll(r io.Reader, limit int64) (string, error) {
	var b bytes.Buffer
	for chunk := int64(4 << 10); ; chunk = min(2*chunk, 64<<10) {
		if !f.hold(2 * chunk) {
			return "", errNoMemory
		}
		n, err := io.CopyN(&b, r, chunk)
		f.unhold(2 * (chunk - n))
		if int64(b.Len()) > limit {
			return "", errTooLong
		}
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return "", bodyError(err)
		}
	}
}

// add appends a field that was read into memory.
func (f *Form) add(name, value string) error {
	if len(f.Fields) == maxFields {
		return BadRequest("a request may have at most %d parameters", maxFields)
	}
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		return BadRequest("'%s' parameter is not valid UTF-8", Shown(name))
	}
	if f.left -= int64(len(value)); f.left < 0 {
		return errContentTooLarge
	}
	f.Fields = append(f.Fields, compose.Field{Name: name, Value: value})
	return nil
}

// readURLEncoded reads a body of name=value pairs.
func (f *Form) readURLEncoded(body io.Reader, rules FormRules) error {
	// Every octet may have become three.
	text, err := f.readAll(body, min(3*rules.Content, rules.Body))
	if err != nil {
		return err
	}
	if err := f.readPairs(text); err != nil {
		return err
	}
	for _, fd := range f.Fields {
		if rules.Spooled[fd.Name] && fd.Value != "" {
			return BadRequest("'%s' parameter is not a file: send it as multipart/form-data", fd.Name)
		}
	}
	return nil
}

// readQuery adds the parameters of the query behind those of the body.
func (f *Form) readQuery(query string) error { return f.readPairs(query) }

func (f *Form) readPairs(text string) error {
	for text != "" {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return BadRequest("unable to parse request: %s", Shown(err.Error()))
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return BadRequest("unable to parse request: %s", Shown(err.Error()))
		}
		name = strings.TrimSuffix(name, "[]")
		switch {
		case len(name) > maxFieldName:
			return BadRequest("a parameter name is longer than %d octets", maxFieldName)
		case int64(len(value)) > f.longest:
			return BadRequest("'%s' parameter is longer than %d octets", Shown(name), f.longest)
		case name == "":
			continue
		}
		if err := f.add(name, value); err != nil {
			return err
		}
	}
	return nil
}

// hold takes octets from the memory that all forms share.
func (f *Form) hold(n int64) bool {
	if !f.memory.take(n) {
		return false
	}
	f.held += n
	return true
}

func (f *Form) unhold(n int64) {
	f.memory.give(n)
	f.held -= n
}

// bodyError gives an error of reading the body its answer.
func bodyError(err error) error {
	var p *Problem
	var tooMuch *http.MaxBytesError
	switch {
	case err == nil, err == io.EOF: // not a wrapped one: that is a body that breaks off
		return nil
	case errors.As(err, &p):
		return p
	case errors.As(err, &tooMuch):
		return ErrTooLarge
	case errors.Is(err, errSpool):
		return err
	}
	return &Problem{Status: http.StatusBadRequest, Message: "unable to parse request: " + Shown(readable(err))}
}

// readable words what can go wrong in a body. Other errors may quote foreign text
// at length or speak of our side of the connection.
func readable(err error) string {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "unexpected end"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return "not a gzip stream"
	case strings.HasPrefix(err.Error(), "multipart: "), strings.HasPrefix(err.Error(), "malformed MIME"):
		return "malformed multipart/form-data request"
	}
	return "the body could not be read"
}

// Shown cuts foreign text to a length fit for an answer.
func Shown(s string) string {
	const limit = 200
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// baseName is the last element of a file name, whichever system it came from.
func baseName(s string) string {
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	return s
}

// Files returns the uploads of a field as the compose room takes them.
func (f *Form) Files(name string) []compose.File {
	var files []compose.File
	for _, u := range f.uploads {
		if u.field != name {
			continue
		}
		filename := u.name
		if filename == "" {
			filename = name
		}
		files = append(files, compose.File{Name: filename, ContentType: u.contentType, Size: u.section.size, Open: u.section.open})
	}
	return files
}

// Values returns the values of a field.
func (f *Form) Values(name string) []string {
	var vs []string
	for _, fd := range f.Fields {
		if fd.Name == name {
			vs = append(vs, fd.Value)
		}
	}
	return vs
}

// Last returns the last value of a field; empty if there is none.
func (f *Form) Last(name string) string {
	vs := f.Values(name)
	if len(vs) == 0 {
		return ""
	}
	return vs[len(vs)-1]
}

// Options returns the parameters that steer a message rather than being part of it.
func (f *Form) Options() []compose.Field {
	var opts []compose.Field
	for _, fd := range f.Fields {
		prefix, _, _ := strings.Cut(fd.Name, ":")
		switch strings.ToLower(prefix) { // O:Require-TLS must not get lost
		case "o", "h", "v", "t", "template", "recipient-variables":
			opts = append(opts, fd)
		}
	}
	return opts
}

var errNoMemory = &Problem{Status: http.StatusServiceUnavailable, Message: "The server is busy. Please try again.", RetryAfter: 1e9}
