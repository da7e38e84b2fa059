package accept

import (
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/merge"
	"github.com/sealpost/sealpost/internal/spool"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tracking"
)

// A Tracker puts links of ours into letters. The tracking room satisfies it.
type Tracker interface {
	// CanReach reports whether there is an address under which readers of the domain's mail reach us.
	CanReach(d *store.Domain) bool
	// Mark returns what marks up a letter; nil if CanReach says no.
	Mark(d *store.Domain, p tracking.Plan, l tracking.Letter) *tracking.Marker
}

// track decides whether and how the letters are tracked. A tracked letter has one recipient: what is
// done with its links is that recipient's doing. So it makes one letter of each copy. Reports,
// notices and answers of machines (a null reverse-path) are left alone.
func (j *job) track(letters []letter) ([]letter, error) {
	t := j.room.cfg.Tracker
	if t == nil || j.s.Report || j.s.Notice || j.reversePath.IsZero() {
		return letters, nil
	}
	plan := tracking.Resolve(j.domain.Settings.Tracking, j.opts.Track)
	if !t.CanReach(&j.domain) {
		if _, told := j.room.unreachable.LoadOrStore(j.domain.ID, true); plan.Any() && !told {
			j.room.log.Warn("mail is not tracked: there is no address that its links could have; set http.public_url, or publish the CNAME of the tracking host",
				"domain", j.domain.Name, "host", j.domain.TrackingHost())
		}
		return letters, nil
	}
	if !plan.Any() {
		shared := slices.ContainsFunc(letters, func(l letter) bool { return len(l.recipients) > 1 })
		if uses, err := j.source.usesLinks(shared); err != nil || !uses {
			return letters, err
		}
	}
	j.plan = &plan
	return oneRecipientEach(letters), nil
}

// oneRecipientEach takes the copies of letters apart.
func oneRecipientEach(letters []letter) []letter {
	var list []letter
	for _, l := range letters {
		for _, a := range l.recipients {
			one := l
			one.recipients = []mail.Address{a}
			list = append(list, one)
		}
	}
	return list
}

// marker returns what marks up a letter; nil if nothing does.
func (j *job) marker(l *letter) *tracking.Marker {
	if j.plan == nil {
		return nil
	}
	return j.room.cfg.Tracker.Mark(&j.domain, *j.plan, tracking.Letter{Message: l.id, Recipient: l.recipients[0], Tags: j.opts.Tags})
}

// trackDraft puts the links into a draft, which is the letter's own but for what its slices hold.
func (j *job) trackDraft(d *compose.Draft, l *letter) {
	m := j.marker(l)
	d.Headers = fillFields(m, d.Headers)
	d.Headers = append(d.Headers, offer(m, d.Headers)...)
	if m == nil {
		return
	}
	for _, t := range []struct {
		media string
		text  *string
	}{{"text/plain", &d.Text}, {"text/html", &d.HTML}, {"text/x-amp-html", &d.AMP}} {
		if *t.text != "" {
			*t.text = m.Text(t.media, *t.text)
		}
	}
}

// valuesUseLinks reports whether a placeholder that stands for a link of ours may come into letters with values: those of
// a template, which need not show in every copy, of recipients, or of a list's members.
func (j *job) valuesUseLinks() bool {
	if j.stencil != nil && j.stencil.UsesLinks() || tracking.Uses(j.opts.RecipientVariables) {
		return true
	}
	return j.list != nil && slices.ContainsFunc(j.list.people, func(p merge.Person) bool {
		for _, v := range p.Values {
			if tracking.Uses(v) {
				return true
			}
		}
		return false
	})
}

func (s *draftSource) usesLinks(bool) (bool, error) {
	if s.j.valuesUseLinks() {
		return true, nil
	}
	texts := []string{s.base.Text, s.base.HTML, s.base.AMP}
	for _, h := range s.base.Headers {
		texts = append(texts, h.Value)
	}
	return slices.ContainsFunc(texts, tracking.Uses), nil
}

// offerFields are the fields that offer a way out of a list (RFC 2369, RFC 8058), in lower case.
var offerFields = map[string]bool{"list-unsubscribe": true, "list-unsubscribe-post": true}

// track has the links put into a submitted message.
func (r *rawSource) track(edit *compose.Edit, l *letter) {
	m := r.j.marker(l)
	offers := slices.Clone(r.offers)
	if edit.Value != nil {
		for i, f := range offers {
			offers[i].Value = edit.Value(f.Name, f.Value)
		}
	}
	edit.Headers = fillFields(m, edit.Headers)
	if filled := fillFields(m, offers); !slices.Equal(filled, offers) {
		edit.Remove = append(edit.Remove, slices.Sorted(maps.Keys(offerFields))...)
		edit.Headers, offers = append(edit.Headers, filled...), nil
	}
	edit.Headers = append(edit.Headers, offer(m, slices.Concat(offers, edit.Headers))...)
	if m == nil {
		return
	}
	person := edit.Text
	edit.Text = func(media, text string) (string, error) {
		if person != nil {
			var err error
			if text, err = person(media, text); err != nil {
				return "", err
			}
		}
		return m.Text(media, text), nil
	}
}

// usesLinks goes by what a scan of the message said, and takes it apart only where that is not certain
// enough.
func (r *rawSource) usesLinks(certainly bool) (bool, error) {
	if r.j.valuesUseLinks() || slices.ContainsFunc(r.j.opts.Headers, func(f compose.Field) bool { return tracking.Uses(f.Value) }) {
		return true, nil
	}
	if !r.scan.MayUse() || !certainly {
		return r.scan.MayUse(), nil
	}
	uses := slices.ContainsFunc(r.offers, func(f compose.Field) bool { return tracking.Uses(f.Value) })
	edit := compose.Edit{MessageID: "scan@" + r.j.domain.Name, Date: r.j.now, Text: func(_, text string) (string, error) {
		uses = uses || tracking.Uses(text)
		return text, nil
	}}
	_, err := r.m.Write(io.Discard, r.in.Reader(), edit)
	return uses, err
}

// fillFields returns header fields with links in the places. Without a marker, and for placeholders that
// stand for addresses to which mail could be sent, the elements of List-Unsubscribe that hold
// one are dropped, and with the last of them the field: it must not promise what there is not.
func fillFields(m *tracking.Marker, fields []compose.Field) []compose.Field {
	var kept []compose.Field
	for _, f := range fields {
		if m != nil {
			f.Value = m.Value(f.Value)
		}
		if strings.EqualFold(f.Name, "List-Unsubscribe") && strings.Contains(f.Value, "%") {
			if f.Value = tracking.WithoutPlaceholders(f.Value); f.Value == "" {
				continue
			}
		}
		kept = append(kept, f)
	}
	return kept
}

// offer returns the fields that a way out of our mail needs besides those that are there.
func offer(m *tracking.Marker, fields []compose.Field) []compose.Field {
	if m == nil {
		return nil
	}
	var given []tracking.Field
	for _, f := range fields {
		given = append(given, tracking.Field(f))
	}
	var add []compose.Field
	for _, f := range m.Fields(given) {
		add = append(add, compose.Field(f))
	}
	return add
}

// A scannedSpool keeps what is written to it, and scans it on the way.
type scannedSpool struct {
	spool *spool.Spool
	scan  *tracking.Scan
}

func (s scannedSpool) Write(p []byte) (int, error) {
	_, _ = s.scan.Write(p) // never fails
	return s.spool.Write(p)
}
