package handlebars

import (
	"errors"
	"strings"
	"sync/atomic"
)

// MaxSteps is how much work one rendering may be. A step is a tag, a turn of {{#each}}, a name
// looked up, or 64 octets written or compared: a million of them take well under a second.
const MaxSteps = 1_000_000

// Errors of rendering.
var (
	ErrTooMuchWork = errors.New("the template is too much work")
	ErrTooLarge    = errors.New("the rendered template is too large")
)

// A Budget is an amount of work that several renderings share. It is safe for concurrent use.
type Budget struct{ steps atomic.Int64 }

// NewBudget returns a budget of so many steps.
func NewBudget(steps int64) *Budget {
	b := &Budget{}
	b.steps.Store(steps)
	return b
}

// Options say how a template is rendered. Zero values are usable.
type Options struct {
	// Plain: values are put in as they are. It is for what is not HTML.
	Plain bool
	// Limit is how many octets may be written; 0: no more than steps allow.
	Limit int
	// Budget, if not nil, is drawn on besides MaxSteps.
	Budget *Budget
}

// Render returns the template with the variables in. The same variables give the same text.
// Errors are ErrTooMuchWork and ErrTooLarge.
func (t *Template) Render(variables *Object, o Options) (string, error) {
	r := renderer{options: o, contexts: []any{variables}}
	err := r.nodes(t.body)
	if o.Budget != nil && o.Budget.steps.Add(-r.charged) < 0 {
		return "", ErrTooMuchWork
	}
	if err != nil {
		return "", err
	}
	return r.out.String(), nil
}

// A renderer is one rendering.
type renderer struct {
	options  Options
	out      strings.Builder
	steps    int64
	charged  int64 // of the steps, those not yet taken from the budget
	contexts []any // innermost last
	frames   []frame
	names    []named
}

// A frame is what {{#each}} tells about a turn.
type frame struct {
	index, size int
	key         any // nil: of a list
}

// named is a value that a block gave a name.
type named struct {
	name  string
	value any
}

// chargeEach is how many steps are taken from the budget at a time.
const chargeEach = 4096

// step counts work.
func (r *renderer) step(n int) error {
	r.steps += int64(n)
	r.charged += int64(n)
	if r.steps > MaxSteps {
		return ErrTooMuchWork
	}
	if r.charged >= chargeEach && r.options.Budget != nil {
		left := r.options.Budget.steps.Add(-r.charged)
		r.charged = 0
		if left < 0 {
			return ErrTooMuchWork
		}
	}
	return nil
}

func (r *renderer) nodes(list []node) error {
	for _, n := range list {
		if err := r.step(1); err != nil {
			return err
		}
		var err error
		switch n := n.(type) {
		case text:
			err = r.write(string(n))
		case output:
			err = r.output(n)
		case *block:
			err = r.block(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) write(s string) error {
	if r.options.Limit > 0 && r.out.Len()+len(s) > r.options.Limit {
		return ErrTooLarge
	}
	r.out.WriteString(s)
	return r.step(len(s) / 64)
}

// escaper writes what HTML would take for markup as references, in text and in attributes,
// quoted or not.
var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;", "`", "&#x60;", "=", "&#x3D;")

func (r *renderer) output(o output) error {
	v, err := r.value(o.value)
	if err != nil {
		return err
	}
	s := printed(v)
	if !o.raw && !r.options.Plain {
		s = escaper.Replace(s)
	}
	return r.write(s)
}

func (r *renderer) block(b *block) error {
	v, err := r.value(b.operands[0])
	if err != nil {
		return err
	}
	switch b.helper {
	case "if":
		return r.choose(b, truth(v) || b.includeZero && printed(v) == "0")
	case "unless":
		return r.choose(b, !(truth(v) || b.includeZero && printed(v) == "0"))
	case "equal":
		other, err := r.value(b.operands[1])
		if err != nil {
			return err
		}
		x, y := printed(v), printed(other)
		if err := r.step((len(x) + len(y)) / 64); err != nil {
			return err
		}
		return r.choose(b, x == y)
	}
	if !truth(v) {
		return r.nodes(b.inverse)
	}
	list, isList := v.([]any)
	if object, ok := v.(*Object); ok && b.helper == "each" {
		return r.eachField(b, object)
	}
	if isList && b.helper != "with" {
		return r.eachItem(b, list)
	}
	if b.helper == "each" {
		return nil // neither list nor object: there is nothing to go through
	}
	return r.within(b, v, nil)
}

func (r *renderer) choose(b *block, yes bool) error {
	if yes {
		return r.nodes(b.body)
	}
	return r.nodes(b.inverse)
}

func (r *renderer) eachItem(b *block, list []any) error {
	for i, item := range list {
		if err := r.within(b, item, &frame{index: i, size: len(list)}); err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) eachField(b *block, o *Object) error {
	for i, name := range o.names {
		if err := r.within(b, o.values[name], &frame{index: i, size: len(o.names), key: name}); err != nil {
			return err
		}
	}
	return nil
}

// within renders the body of a block in a context of its own.
func (r *renderer) within(b *block, context any, f *frame) error {
	if err := r.step(1); err != nil {
		return err
	}
	frames, names := len(r.frames), len(r.names)
	r.contexts = append(r.contexts, context)
	if f != nil {
		r.frames = append(r.frames, *f)
	}
	if len(b.names) > 0 {
		r.names = append(r.names, named{b.names[0], context})
	}
	if len(b.names) > 1 && f != nil {
		r.names = append(r.names, named{b.names[1], f.which()})
	}
	err := r.nodes(b.body)
	r.contexts, r.frames, r.names = r.contexts[:len(r.contexts)-1], r.frames[:frames], r.names[:names]
	return err
}

// which is the key of a field or the index of an item.
func (f *frame) which() any {
	if f.key != nil {
		return f.key
	}
	return number(f.index)
}

// value returns what an operand stands for; nil if that is nothing.
func (r *renderer) value(o operand) (any, error) {
	if o.path == nil {
		return o.literal, nil
	}
	p := o.path
	if err := r.step(len(p.parts)); err != nil {
		return nil, err
	}
	if p.data {
		return r.data(p), nil
	}
	if !p.scoped {
		for i := len(r.names) - 1; i >= 0; i-- {
			if r.names[i].name == p.parts[0] {
				return walk(r.names[i].value, p.parts[1:]), nil
			}
		}
	}
	at := len(r.contexts) - 1 - p.up
	if at < 0 {
		return nil, nil
	}
	if p.scoped {
		return walk(r.contexts[at], p.parts), nil
	}
	for ; at >= 0; at-- {
		if v, ok := field(r.contexts[at], p.parts[0]); ok {
			return walk(v, p.parts[1:]), nil
		}
	}
	return nil, nil
}

// data returns what {{#each}} tells, or the outermost context.
func (r *renderer) data(p *path) any {
	if p.parts[0] == "root" {
		return walk(r.contexts[0], p.parts[1:])
	}
	at := len(r.frames) - 1 - p.up
	if at < 0 || len(p.parts) > 1 {
		return nil
	}
	f := &r.frames[at]
	switch p.parts[0] {
	case "index":
		return number(f.index)
	case "key":
		return f.which()
	case "first":
		return f.index == 0
	case "last":
		return f.index == f.size-1
	}
	return nil
}

func walk(v any, parts []string) any {
	for _, part := range parts {
		v, _ = field(v, part)
	}
	return v
}
