package compose

import "io"

// A collector is a visitor that lists the attachments of a message with their
// decoded sizes, and gives out their content and the texts if asked to.
type collector struct {
	attachments []Attachment
	// begin, if set, returns who takes the decoded content of attachment n; nil for nobody.
	begin func(n int, a Attachment) (io.Writer, error)
	// text, if set, returns who takes the decoded text of a leaf that is no attachment.
	text func(p *part) io.Writer

	message *part // the message in the message that we are in, itself an attachment
	sink    io.WriteCloser
}

var _ visitor = (*collector)(nil)

func (c *collector) header(p *part) error {
	if p.nested {
		return c.write(p.raw)
	}
	if err := c.endMessage(); err != nil {
		return err
	}
	switch {
	case p.multipart():
		return nil
	case p.message() && !p.sealed && p.index > 0:
		c.message = p
		return c.beginAttachment(p)
	case p.attachment():
		return c.beginAttachment(p)
	case c.text != nil:
		if w := c.text(p); w != nil {
			c.sink = newDecoder(p.encoding, w)
		}
	}
	return nil
}

func (c *collector) beginAttachment(p *part) error {
	a := Attachment{Name: p.name, ContentType: p.media, ContentID: p.contentID}
	var w io.Writer = io.Discard
	if c.begin != nil {
		asked, err := c.begin(len(c.attachments), a)
		if err != nil {
			return err
		}
		if asked != nil {
			w = asked
		}
	}
	c.attachments = append(c.attachments, a)
	c.sink = newDecoder(p.encoding, &counter{w, &c.attachments[len(c.attachments)-1].Size})
	return nil
}

// A counter counts what passes.
type counter struct {
	w io.Writer
	n *int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}

func (c *collector) write(b []byte) error {
	if c.sink == nil {
		return nil
	}
	_, err := c.sink.Write(b)
	return err
}

func (c *collector) body(_ *part, b []byte) error { return c.write(b) }

func (c *collector) end(p *part) error {
	if p.nested {
		return nil
	}
	return c.endSink()
}

func (c *collector) delimiter(m *part, b []byte) error { return c.between(m, b) }

func (c *collector) noise(m *part, b []byte) error { return c.between(m, b) }

// between takes octets of a multipart, which are content if it lies in a message
// in the message.
func (c *collector) between(m *part, b []byte) error {
	if m.nested {
		return c.write(b)
	}
	return c.endMessage()
}

func (c *collector) endMessage() error {
	if c.message == nil {
		return nil
	}
	c.message = nil
	return c.endSink()
}

func (c *collector) endSink() error {
	if c.sink == nil {
		return nil
	}
	err := c.sink.Close()
	c.sink = nil
	return err
}
