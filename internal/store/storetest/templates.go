package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/store"
)

// tenant creates a domain and returns its id.
func (f *fixture) tenant(name string) int64 {
	f.Helper()
	d := store.Domain{Name: name, State: store.DomainActive}
	f.must(f.s.CreateDomain(f.Context(), &d))
	return d.ID
}

// template creates a template with a version v1.
func (f *fixture) template(domain int64, name string) (store.Template, store.TemplateVersion) {
	f.Helper()
	t := store.Template{DomainID: domain, Name: name, Description: "about " + name, CreatedBy: "ann"}
	v := store.TemplateVersion{Tag: "v1", Body: "Hi {{name}}, grüße", Comment: "first", Headers: map[string]string{"Subject": "Hi {{name}}"}}
	f.must(f.s.CreateTemplate(f.Context(), &t, &v))
	return t, v
}

func templateNames(list []store.Template) string {
	var names []string
	for _, t := range list {
		names = append(names, t.Name)
	}
	return strings.Join(names, " ")
}

// active returns the tags of the active versions.
func (f *fixture) active(domain int64, name string) (tags []string) {
	f.Helper()
	list, err := f.s.ListTemplateVersions(f.Context(), domain, name, store.NamePage{Limit: 100})
	f.must(err)
	for _, v := range list {
		if v.Active {
			tags = append(tags, v.Tag)
		}
	}
	return tags
}

var templateTests = []test{
	{"a template and its first version are found again as they were", func(f *fixture) {
		a := f.tenant("a.example")
		t, v := f.template(a, "welcome")
		f.same("first version is active", v.Active, true)
		for range 2 {
			got, err := f.s.Template(f.Context(), a, "welcome")
			f.must(err)
			f.same("template", got, t)
			for _, tag := range []string{"v1", "", "v1"} {
				version, err := f.s.TemplateVersion(f.Context(), a, "welcome", tag)
				f.must(err)
				f.same("version", version, v)
			}
			f.reopen(f)
		}
	}},
	{"a template without versions has none that is active", func(f *fixture) {
		a := f.tenant("a.example")
		f.must(f.s.CreateTemplate(f.Context(), &store.Template{DomainID: a, Name: "bare"}, nil))
		_, err := f.s.TemplateVersion(f.Context(), a, "bare", "")
		f.is(err, store.ErrNotFound)
		v := store.TemplateVersion{Tag: "one", Body: "x"}
		f.must(f.s.CreateTemplateVersion(f.Context(), a, "bare", &v))
		f.same("active", f.active(a, "bare"), []string{"one"})
	}},
	{"exactly one version is active", func(f *fixture) {
		a := f.tenant("a.example")
		f.template(a, "t")
		f.must(f.s.CreateTemplateVersion(f.Context(), a, "t", &store.TemplateVersion{Tag: "v2", Body: "two"}))
		f.same("active", f.active(a, "t"), []string{"v1"})
		f.must(f.s.CreateTemplateVersion(f.Context(), a, "t", &store.TemplateVersion{Tag: "v3", Body: "three", Active: true}))
		f.same("active", f.active(a, "t"), []string{"v3"})
		f.must(f.s.UpdateTemplateVersion(f.Context(), a, "t", "v2", func(v *store.TemplateVersion) error { v.Active = true; return nil }))
		f.same("active", f.active(a, "t"), []string{"v2"})
		f.must(f.s.UpdateTemplateVersion(f.Context(), a, "t", "v2", func(v *store.TemplateVersion) error { v.Active = false; return nil }))
		f.same("active", f.active(a, "t"), []string{"v2"})
		v, err := f.s.TemplateVersion(f.Context(), a, "t", "")
		f.must(err)
		f.same("body", v.Body, "two")
		f.must(f.s.DeleteTemplateVersion(f.Context(), a, "t", "v2"))
		f.same("active", f.active(a, "t"), []string(nil))
		_, err = f.s.TemplateVersion(f.Context(), a, "t", "")
		f.is(err, store.ErrNotFound)
	}},
	{"a change is seen at once by who has the version in use", func(f *fixture) {
		a := f.tenant("a.example")
		_, v := f.template(a, "t")
		_, err := f.s.TemplateVersion(f.Context(), a, "t", "v1")
		f.must(err)
		f.must(f.s.UpdateTemplateVersion(f.Context(), a, "t", "v1", func(v *store.TemplateVersion) error {
			v.ID, v.Tag, v.Body, v.Comment, v.Headers = "other", "other", "new", "changed", map[string]string{"From": "x@a.example"}
			return nil
		}))
		v.Body, v.Comment, v.Headers = "new", "changed", map[string]string{"From": "x@a.example"}
		for range 2 {
			got, err := f.s.TemplateVersion(f.Context(), a, "t", "v1")
			f.must(err)
			f.same("version", got, v)
			f.reopen(f)
		}
		f.must(f.s.DeleteTemplate(f.Context(), a, "t"))
		_, err = f.s.TemplateVersion(f.Context(), a, "t", "v1")
		f.is(err, store.ErrNotFound)
	}},
	{"an error of the change function changes nothing", func(f *fixture) {
		a := f.tenant("a.example")
		_, v := f.template(a, "t")
		no := errors.New("no")
		f.is(f.s.UpdateTemplateVersion(f.Context(), a, "t", "v1", func(v *store.TemplateVersion) error { v.Body = "x"; return no }), no)
		got, err := f.s.TemplateVersion(f.Context(), a, "t", "v1")
		f.must(err)
		f.same("version", got, v)
	}},
	{"names and tags are given once", func(f *fixture) {
		a, b := f.tenant("a.example"), f.tenant("b.example")
		f.template(a, "t")
		f.template(b, "t")
		f.is(f.s.CreateTemplate(f.Context(), &store.Template{DomainID: a, Name: "t"}, nil), store.ErrExists)
		f.is(f.s.CreateTemplateVersion(f.Context(), a, "t", &store.TemplateVersion{Tag: "v1"}), store.ErrExists)
	}},
	{"what is another domain's does not exist", func(f *fixture) {
		a, b := f.tenant("a.example"), f.tenant("b.example")
		f.template(a, "t")
		for _, id := range []int64{b, 999} {
			_, err := f.s.Template(f.Context(), id, "t")
			f.is(err, store.ErrNotFound)
			_, err = f.s.TemplateVersion(f.Context(), id, "t", "v1")
			f.is(err, store.ErrNotFound)
			f.is(f.s.DescribeTemplate(f.Context(), id, "t", "x"), store.ErrNotFound)
			f.is(f.s.DeleteTemplate(f.Context(), id, "t"), store.ErrNotFound)
			f.is(f.s.CreateTemplateVersion(f.Context(), id, "t", &store.TemplateVersion{Tag: "v9"}), store.ErrNotFound)
			f.is(f.s.UpdateTemplateVersion(f.Context(), id, "t", "v1", func(*store.TemplateVersion) error { return nil }), store.ErrNotFound)
			f.is(f.s.DeleteTemplateVersion(f.Context(), id, "t", "v1"), store.ErrNotFound)
			f.must(f.s.DeleteTemplates(f.Context(), id))
		}
		f.is(f.s.CreateTemplate(f.Context(), &store.Template{DomainID: 999, Name: "t"}, nil), store.ErrNotFound)
		f.same("active", f.active(a, "t"), []string{"v1"})
	}},
	{"there are limits", func(f *fixture) {
		a := f.tenant("a.example")
		for i := range store.MaxTemplates {
			f.must(f.s.CreateTemplate(f.Context(), &store.Template{DomainID: a, Name: fmt.Sprintf("t%03d", i)}, nil))
		}
		f.is(f.s.CreateTemplate(f.Context(), &store.Template{DomainID: a, Name: "more"}, nil), store.ErrLimit)
		for i := range store.MaxTemplateVersions {
			f.must(f.s.CreateTemplateVersion(f.Context(), a, "t000", &store.TemplateVersion{Tag: fmt.Sprintf("v%03d", i)}))
		}
		f.is(f.s.CreateTemplateVersion(f.Context(), a, "t000", &store.TemplateVersion{Tag: "more"}), store.ErrLimit)
		f.is(f.s.CreateTemplateVersion(f.Context(), a, "t000", &store.TemplateVersion{Tag: "v000"}), store.ErrExists)
		f.same("versions", len(f.active(a, "t000")), 1)
	}},
	{"pages go through names both ways", func(f *fixture) {
		a := f.tenant("a.example")
		for _, name := range []string{"c", "a", "e", "b", "d"} {
			f.must(f.s.CreateTemplate(f.Context(), &store.Template{DomainID: a, Name: name}, nil))
		}
		for want, p := range map[string]store.NamePage{
			"a b":       {Limit: 2},
			"c d":       {After: "b", Limit: 2},
			"e":         {After: "d", Limit: 2},
			"":          {After: "e", Limit: 2},
			"d e":       {Last: true, Limit: 2},
			"b c":       {Before: "d", Limit: 2},
			"a":         {Before: "b", Limit: 2},
			"a b c d e": {Limit: 1000},
		} {
			list, err := f.s.ListTemplates(f.Context(), a, p)
			f.must(err)
			f.same("page", templateNames(list), want)
		}
	}},
	{"a list of versions has no bodies", func(f *fixture) {
		a := f.tenant("a.example")
		_, v := f.template(a, "t")
		v.Body = ""
		list, err := f.s.ListTemplateVersions(f.Context(), a, "t", store.NamePage{Limit: 10})
		f.must(err)
		f.same("versions", list, []store.TemplateVersion{v})
	}},
	{"templates go with their domain", func(f *fixture) {
		a, b := f.tenant("a.example"), f.tenant("b.example")
		f.template(a, "t")
		f.template(b, "t")
		_, err := f.s.TemplateVersion(f.Context(), a, "t", "")
		f.must(err)
		f.must(f.s.DeleteDomain(f.Context(), "a.example"))
		for range 2 {
			_, err := f.s.TemplateVersion(f.Context(), a, "t", "")
			f.is(err, store.ErrNotFound)
			_, err = f.s.TemplateVersion(f.Context(), b, "t", "")
			f.must(err)
			f.reopen(f)
		}
		f.must(f.s.DeleteTemplates(f.Context(), b))
		list, err := f.s.ListTemplates(f.Context(), b, store.NamePage{Limit: 10})
		f.must(err)
		f.same("left", len(list), 0)
	}},
}
