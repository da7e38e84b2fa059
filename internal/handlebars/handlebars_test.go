package handlebars

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"strings"
	"testing"

	"github.com/mailgun/raymond/v2"

	"github.com/sealpost/sealpost/internal/proportion"
)

const variables = `{"name":"Änne","tags":["a","b"],"html":"<b> & \"x\" 'y' = z","zero":0,"n":12,"price":1.50,"big":9007199254740993,
	"empty":[],"none":null,"no":false,"yes":true,"blank":"","user":{"first":"Ann","last":"Lee","address":{"city":"Köln"},"none":{}},
	"items":[{"title":"one","price":1,"tags":["x","y"]},{"title":"two","price":2,"tags":[]}],"odd key":"odd","length":"own",
	"same":"12","deep":[[1,2],[3]]}`

func object(t testing.TB, s string) *Object {
	t.Helper()
	o, err := ParseObject(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func render(t *testing.T, source string) string {
	t.Helper()
	tpl, err := Parse(source)
	if err != nil {
		t.Fatalf("%q: %v", source, err)
	}
	got, err := tpl.Render(object(t, variables), Options{})
	if err != nil {
		t.Fatalf("%q: %v", source, err)
	}
	return got
}

// both are templates on which we and Mailgun's engine agree.
var both = []string{
	"", "plain", "Hi {{name}}!", "{{ name }}", "{{html}}", "{{{html}}}", "{{&html}}", "{{& html }}", "{{user.first}} {{user/last}}", "{{user.address.city}}",
	"{{missing}}|{{missing.deeper}}|{{name.deeper}}", "{{none}}{{no}}{{yes}}{{zero}}{{n}}{{price}}", "{{tags}}", "{{tags.length}} {{user.first.length}}", "{{items.[0].title}}",
	"{{[odd key]}}", "{{#if name}}a{{/if}}{{#if blank}}b{{/if}}{{#if empty}}c{{/if}}{{#if none}}d{{/if}}{{#if zero}}e{{/if}}{{#if user.none}}f{{/if}}{{#if missing}}g{{/if}}",
	"{{#if no}}a{{else}}b{{/if}}", "{{#if no}}a{{^}}b{{/if}}", "{{#if no}}a{{else if zero}}b{{else if yes}}c{{else}}d{{/if}}", "{{#unless no}}a{{else}}b{{/unless}}", "{{#unless yes}}a{{else}}b{{/unless}}",
	"{{#each tags}}{{this}},{{/each}}", "{{#each tags}}{{.}},{{/each}}", "{{#each tags}}{{@index}}{{@first}}{{@last}} {{/each}}", "{{#each empty}}x{{else}}none{{/each}}", "{{#each missing}}x{{else}}none{{/each}}",
	"{{#each items}}{{title}} {{this.price}} {{../name}} {{#each tags}}{{../title}}:{{this}}{{@../index}} {{/each}}{{/each}}", "{{#each items}}{{name}} {{/each}}", "{{#each items as |item i|}}{{item.title}}{{i}} {{/each}}",
	"{{#each items as |item|}}{{#each item.tags as |tag|}}{{item.title}}-{{tag}} {{/each}}{{/each}}", "{{#each items}}{{@root.name}}{{/each}}",
	"{{#with user}}{{first}} {{address.city}} {{name}}{{/with}}", "{{#with missing}}a{{else}}b{{/with}}", "{{#with user as |u|}}{{u.last}}{{/with}}",
	"{{#equal n same}}same{{/equal}}{{#equal n 12}}twelve{{/equal}}{{#equal name \"Änne\"}}me{{/equal}}{{#equal name 'Bo'}}he{{/equal}}{{#equal yes true}}t{{/equal}}",
	"{{#user}}{{first}}{{/user}}{{#items}}{{title}}{{/items}}{{^empty}}nothing{{/empty}}{{^name}}x{{/name}}{{#yes}}{{name}}{{/yes}}", "{{^if yes}}a{{else}}b{{/if}}",
	"a{{! a comment }}b{{!-- another }} one --}}c", "\\{{name}} {{name}}", "\\\\{{name}}", "a {{~name~}} b", "a\n{{~#if yes~}}\n b \n{{~/if~}}\n c", "{ {{name}} }", "{{#each deep}}{{#each this}}{{this}}{{/each}};{{/each}}",
	"A\n{{#if yes}}\nB\n{{else}}\nC\n{{/if}}\nD\n", "A\n  {{#if no}}\n  B\n  {{else}}\n  C\n  {{/if}}\nD", "{{#each tags}}\n- {{this}}\n{{/each}}\n", "A\n{{! note }}\nB", "A {{#if yes}}B{{/if}} C\n", "{{#if yes}}\n{{name}}\n{{/if}}",
	"{{#if yes}}\r\nA\r\n{{/if}}\r\nB", "x {{#if yes}}\nA\n{{/if}} y\n",
	"{{#each items}}\n{{#if title}}\n<p>{{title}}</p>\n{{/if}}\n{{/each}}\nend",
}

// Mailgun's own engine, raymond, is the measure of what templates mean.
func TestAsMailgun(t *testing.T) {
	var plain map[string]any
	if err := json.Unmarshal([]byte(variables), &plain); err != nil {
		t.Fatal(err)
	}
	for _, source := range both {
		want, err := raymond.Render(source, plain)
		if err != nil {
			t.Errorf("%q: raymond: %v", source, err)
			continue
		}
		if got := render(t, source); html.UnescapeString(got) != html.UnescapeString(want) {
			t.Errorf("%q\n got: %q\nwant: %q", source, got, want)
		}
	}
}

// What raymond gets wrong, leaves to chance, or we do otherwise on purpose.
func TestOurs(t *testing.T) {
	for source, want := range map[string]string{
		"{{items.1.title}}": "two",
		"{{{name}}}}":       "Änne}",
		"{{#if zero includeZero=true}}a{{/if}}{{#unless zero includeZero=true}}b{{/unless}}": "a",
		"{{html}}":                         "&lt;b&gt; &amp; &quot;x&quot; &#x27;y&#x27; &#x3D; z",
		"{{big}}":                          "9007199254740993",
		"{{price}}":                        "1.5",
		"{{length}}":                       "own",
		"{{name.length}}":                  "4",
		"{{user.address}}":                 "{&quot;city&quot;:&quot;Köln&quot;}",
		"{{#each user}}{{@key}} {{/each}}": "first last address none ",
		"{{#each user}}{{#if @last}}{{@key}}{{/if}}{{/each}}":     "none",
		"{{#equal name 'Bo'}}a{{else}}b{{/equal}}":                "b",
		"{{#equal n 1}}1{{else equal n 12}}12{{else}}?{{/equal}}": "12",
		"{{this.name}}{{#each tags}}{{this.name}}{{/each}}":       "Änne",
		"{{#each tags}}{{../../name}}{{/each}}":                   "",
		"{{@index}}{{@nothing}}":                                  "",
		"{{#each name}}x{{/each}}":                                "",
		"{{#each user as |v k|}}{{k}}{{/each}}":                   "firstlastaddressnone",
		"{{!}}{{!----}}{{!-- --~}} a":                             "a",
	} {
		if got := render(t, source); got != want {
			t.Errorf("%q\n got: %q\nwant: %q", source, got, want)
		}
	}
	tpl, err := Parse("{{html}}")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tpl.Render(object(t, variables), Options{Plain: true}); got != `<b> & "x" 'y' = z` || err != nil {
		t.Errorf("plain: %q, %v", got, err)
	}
}

func TestNotUnderstood(t *testing.T) {
	nested := strings.Repeat("{{#if name}}", MaxDepth+1) + strings.Repeat("{{/if}}", MaxDepth+1)
	chain := "{{#if a}}" + strings.Repeat("{{else if a}}", maxBranches+1) + "{{/if}}"
	for source, want := range map[string]string{
		"a\nb {{name":                      "line 2: a tag {{ is never closed with }}",
		"{{}}":                             "line 1: {{}} is empty",
		"{{#if name}}":                     "line 1: {{#if}} is never closed",
		"{{#if name}}{{/each}}":            "line 1: {{/each}} closes {{#if}} of line 1",
		"{{/if}}":                          "line 1: {{/if}} belongs to no block",
		"{{else}}":                         "line 1: {{else}} belongs to no block",
		"{{#if a}}{{else}}{{else}}{{/if}}": "line 1: {{else}} follows {{else}}",
		"{{#if}}{{/if}}":                   "line 1: {{#if}} needs 1 value(s), has 0",
		"{{#if a b}}{{/if}}":               "line 1: {{#if}} needs 1 value(s), has 2",
		"{{if a}}":                         "line 1: if is a block and begins with #: {{#if …}}",
		"{{log name}}":                     "line 1: log is no helper; there are if, unless, each, with and equal",
		"{{lookup a 'b'}}":                 "line 1: lookup is no helper; there are if, unless, each, with and equal",
		"{{#foo a}}{{/foo}}":               "line 1: foo is no helper; there are if, unless, each, with and equal",
		"{{> partial}}":                    "line 1: partials are not supported",
		"{{#> layout}}{{/layout}}":         "line 1: partials are not supported",
		"{{#*inline 'x'}}{{/inline}}":      "line 1: decorators are not supported",
		"{{{{raw}}}} {{{{/raw}}}}":         "line 1: raw blocks {{{{…}}}} are not supported",
		"{{#if (equal a b)}}{{/if}}":       "line 1: subexpressions ( ) are not supported",
		"{{#each a key=b}}{{/each}}":       "line 1: key=b is not supported",
		"{{a..b}}":                         "line 1: a..b is not understood",
		"{{a/../b}}":                       "line 1: a/../b is not understood",
		"{{a.}}":                           "line 1: a. is not understood",
		"{{@}}":                            "line 1: @ is not understood",
		"{{\"x}}":                          "line 1: a tag {{ is never closed with }}",
		"{{a[b]}}":                         "line 1: a[b] is not understood",
		"{{#each a as |x y z|}}{{/each}}":  "line 1: as |…| needs one or two names",
		"\xff":                             "line 1: the template is not UTF-8",
		strings.Repeat("x", MaxSource+1):   "line 1: the template is larger than 100 KB",
		nested:                             "line 1: blocks are nested more than 20 deep",
		chain:                              "line 1: a block has more than 200 else parts",
	} {
		_, err := Parse(source)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%.60q\n got: %v\nwant: %s", source, err, want)
		}
	}
}

// Templates that mean to be too much end, and soon.
func TestTooMuch(t *testing.T) {
	list := "[" + strings.Repeat("1,", 999) + "1]"
	bomb := strings.Repeat("{{#each @root.l}}", MaxDepth) + strings.Repeat("{{/each}}", MaxDepth)
	long := `{"l":` + list + `,"s":"` + strings.Repeat("x", 16000) + `"}`
	for name, c := range map[string]struct {
		source  string
		options Options
		want    error
	}{
		"nested each": {bomb, Options{}, ErrTooMuchWork},
		"compares":    {"{{#each l}}{{#each @root.l}}{{#equal @root.s @root.s}}{{/equal}}{{/each}}{{/each}}", Options{}, ErrTooMuchWork},
		// Here it is the comparisons alone that are too much.
		"compares, in few turns": {"{{#each l}}" + strings.Repeat("{{#equal @root.s @root.s}}{{/equal}}", 3) + "{{/each}}", Options{}, ErrTooMuchWork},
		"at the limit":           {"{{s}}", Options{Limit: 16000}, nil},
		"one octet beyond it":    {"{{s}}", Options{Limit: 15999}, ErrTooLarge},
		"output":                 {"{{#each l}}{{#each @root.l}}{{@root.s}}{{/each}}{{/each}}", Options{Limit: 25 << 20}, ErrTooLarge},
		"output, no limit":       {"{{#each l}}{{#each @root.l}}{{@root.s}}{{/each}}{{/each}}", Options{}, ErrTooMuchWork},
		"budget":                 {"{{#each l}}{{this}}{{/each}}", Options{Budget: NewBudget(100)}, ErrTooMuchWork},
		"budget spent":           {"x", Options{Budget: NewBudget(0)}, ErrTooMuchWork},
	} {
		t.Run(name, func(t *testing.T) {
			tpl, err := Parse(c.source)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tpl.Render(object(t, long), c.options); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// Sources that would take a careless reader quadratic time.
func TestParseIsLinear(t *testing.T) {
	for _, unit := range []string{"{{!-- ", "{{! ~", `\{{`, "{{#if a}}", "{{a}}", "{{!--x--~}}", " \n", "{{else}}", "{{{", "{{[", "{{'", "{{#each a as |b|}}"} {
		proportion.Linear(t, unit, MaxSource/len(unit), func(n int) func() {
			source := strings.Repeat(unit, n)
			return func() { _, _ = Parse(source) }
		})
	}
}

func TestMap(t *testing.T) {
	o := object(t, `{"a":"x","b":["x",{"c":"x"}],"d":1}`)
	got, err := o.Map(func(s string) (string, error) { return s + "y", nil })
	if b, _ := got.MarshalJSON(); string(b) != `{"a":"xy","b":["xy",{"c":"xy"}],"d":1}` || err != nil {
		t.Errorf("%s, %v", b, err)
	}
	if b, _ := o.MarshalJSON(); string(b) != `{"a":"x","b":["x",{"c":"x"}],"d":1}` {
		t.Errorf("the original became %s", b)
	}
}

// Nothing panics, what was understood renders alike twice and within its bounds.
func FuzzRender(f *testing.F) {
	for _, source := range both {
		f.Add(source, variables)
	}
	f.Add("{{#each a}}{{@key}}{{../b}}{{/each}}", `{"a":{"x":[1]},"b":"<"}`)
	f.Fuzz(func(t *testing.T, source, vars string) {
		tpl, err := Parse(source)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || len(err.Error()) > 1000 {
				t.Fatalf("error %q", err)
			}
			return
		}
		o, err := ParseObject(vars)
		if err != nil {
			o = &Object{}
		}
		first, err := tpl.Render(o, Options{Limit: 1 << 20})
		again, errAgain := tpl.Render(o, Options{Limit: 1 << 20})
		if first != again || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatal("rendered differently")
		}
		if len(first) > 1<<20 {
			t.Fatal("over the limit")
		}
		if err != nil && err != ErrTooLarge && err != ErrTooMuchWork {
			t.Fatal(err)
		}
	})
}

// A value that is put in with two braces cannot become markup.
func FuzzEscape(f *testing.F) {
	f.Add("<script>")
	f.Fuzz(func(t *testing.T, s string) {
		tpl, err := Parse(`{{v}}`)
		if err != nil {
			t.Fatal(err)
		}
		o := &Object{}
		o.Set("v", s)
		got, err := tpl.Render(o, Options{})
		if err != nil || strings.ContainsAny(got, "<>\"'`=") {
			t.Errorf("%q became %q, %v", s, got, err)
		}
	})
}
