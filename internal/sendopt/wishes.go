package sendopt

import (
	"strings"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/handlebars"
	"github.com/sealpost/sealpost/internal/tracking"
)

// track takes a wish of the sender.
func (p *optionReader) track(key string, f compose.Field) error {
	w, err := tracking.ParseWish(f.Value)
	if err != nil {
		return invalid("%s must be yes, no, true, false or htmlonly", Printable(f.Name))
	}
	switch key {
	case "o:tracking":
		p.o.Track.All = w
	case "o:tracking-clicks":
		p.o.Track.Clicks = w
	case "o:tracking-opens":
		p.o.Track.Opens = w
	default:
		p.o.Track.PixelTop = w
	}
	return nil
}

// template takes one of the options that are about templates.
func (p *optionReader) template(key string, f compose.Field) error {
	t, value := &p.o.Template, strings.TrimSpace(f.Value)
	switch key {
	case "template":
		t.Name = strings.ToLower(value)
	case "t:version":
		t.Version = strings.ToLower(value)
	case "t:variables":
		var err error
		if t.Variables, err = handlebars.ParseObject(value); err != nil {
			return invalid("%s is not a valid JSON object: %s", Printable(f.Name), Printable(err.Error()))
		}
	}
	return nil
}
