package templates

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// listVersions lists the versions of a template a page at a time, by tag, without their texts.
func (s *Surface) listVersions(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	page, err := p.NameRange("p", maxPage, maxPage)
	if err != nil {
		return err
	}
	t, err := s.templates.Template(r.Context(), r.Domain.ID, name(r, "name"))
	if err != nil {
		return door.Missing(err, errNoTemplate)
	}
	list, err := s.templates.ListTemplateVersions(r.Context(), r.Domain.ID, t.Name, page.NamePage)
	if err != nil {
		return err
	}
	type withVersions struct {
		templateJSON
		Versions []versionJSON `json:"versions"` // also when there are none
	}
	shown := withVersions{view(t), []versionJSON{}}
	var first, last string
	for i, v := range list {
		if i == 0 {
			first = v.Tag
		}
		last = v.Tag
		shown.Versions = append(shown.Versions, versionView(v, false))
	}
	return door.Reply(w, struct {
		Template withVersions `json:"template"`
		Paging   door.Paging  `json:"paging"`
	}{shown, page.Links(r, path(r)+"/"+url.PathEscape(t.Name)+"/versions", first, last)})
}

// replyVersion answers a template with one version.
func (s *Surface) replyVersion(w http.ResponseWriter, r *door.Request, text string, v store.TemplateVersion) error {
	t, err := s.templates.Template(r.Context(), r.Domain.ID, name(r, "name"))
	if err != nil {
		return door.Missing(err, errNoTemplate)
	}
	shown, version := view(t), versionView(v, true)
	shown.Version = &version
	return door.Reply(w, answer{text, shown})
}

// createVersion stores a new version of a template. With active=yes it is the one that messages use
// from now on, as the first one is in any case.
func (s *Surface) createVersion(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if _, err := s.templates.Template(r.Context(), r.Domain.ID, name(r, "name")); err != nil {
		return door.Missing(err, errNoTemplate)
	}
	v, err := readVersion(p, "")
	if err != nil {
		return err
	}
	if err := exists(s.templates.CreateTemplateVersion(r.Context(), r.Domain.ID, name(r, "name"), &v), v.Tag); err != nil {
		return err
	}
	return s.replyVersion(w, r, "new version of the template has been stored", v)
}

// version finds the version of the path. Which of the two is missing is said.
func (s *Surface) version(r *door.Request) (store.TemplateVersion, error) {
	v, err := s.templates.TemplateVersion(r.Context(), r.Domain.ID, name(r, "name"), name(r, "tag"))
	if err != nil {
		return v, s.missing(r, err)
	}
	return v, nil
}

// missing says whether it is the template or its version that does not exist.
func (s *Surface) missing(r *door.Request, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if _, err := s.templates.Template(r.Context(), r.Domain.ID, name(r, "name")); err != nil {
		return door.Missing(err, errNoTemplate)
	}
	return errNoVersion
}

// showVersion shows a version of a template with its text.
func (s *Surface) showVersion(w http.ResponseWriter, r *door.Request) error {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	return s.replyVersion(w, r, "", v)
}

// updateVersion changes what is given of a version of a template: its text, its comment, its
// headers, whether it is the active one.
func (s *Surface) updateVersion(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	active, err := p.Flag("active")
	if err != nil {
		return err
	}
	headers, err := readHeaders(p.Get("headers"))
	if err != nil {
		return err
	}
	if err := words(p, "comment"); err != nil {
		return err
	}
	body := p.Get("template")
	if err := checkBody(body); err != nil {
		return err
	}
	err = s.templates.UpdateTemplateVersion(r.Context(), r.Domain.ID, name(r, "name"), name(r, "tag"), func(v *store.TemplateVersion) error {
		if body != "" {
			v.Body = body
		}
		if p.Has("comment") {
			v.Comment = p.Get("comment")
		}
		if strings.TrimSpace(p.Get("headers")) != "" {
			v.Headers = headers
		}
		v.Active = v.Active || active.Bool()
		return nil
	})
	if err != nil {
		return s.missing(r, err)
	}
	return door.Reply(w, answer{"version has been updated", mention{name(r, "name"), &tag{name(r, "tag")}}})
}

// deleteVersion deletes a version of a template.
func (s *Surface) deleteVersion(w http.ResponseWriter, r *door.Request) error {
	if err := s.templates.DeleteTemplateVersion(r.Context(), r.Domain.ID, name(r, "name"), name(r, "tag")); err != nil {
		return s.missing(r, err)
	}
	return door.Reply(w, answer{"version has been deleted", mention{name(r, "name"), &tag{name(r, "tag")}}})
}

// copyVersion copies a version of a template under another tag. The copy is not active.
func (s *Surface) copyVersion(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := words(p, "comment"); err != nil {
		return err
	}
	v, err := s.version(r)
	if err != nil {
		return err
	}
	v.Tag, v.Active = name(r, "new"), false
	if err := checkName("tag", v.Tag); err != nil {
		return err
	}
	if p.Has("comment") {
		v.Comment = p.Get("comment")
	}
	if err := exists(s.templates.CreateTemplateVersion(r.Context(), r.Domain.ID, name(r, "name"), &v), v.Tag); err != nil {
		return err
	}
	return door.Reply(w, struct {
		Message string      `json:"message"`
		Version versionJSON `json:"version"`
	}{"version has been copied", versionView(v, true)})
}
