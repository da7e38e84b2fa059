package confdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

var _ store.Templates = (*DB)(nil)

// maxVersionsKept is how many octets of template versions are kept in memory.
const maxVersionsKept = 16 << 20

// versionKey names a version as callers ask for it.
type versionKey struct {
	domainID  int64
	name, tag string
}

// versions keeps versions that were asked for. Any change of any template forgets all: changes
// are rare, and a version that is wrong would be mailed.
type versions struct {
	generation int // grows with every change
	octets     int
	kept       map[versionKey]store.TemplateVersion
}

// forget drops everything. It is called with the cache locked.
func (v *versions) forget() {
	v.generation++
	v.octets = 0
	clear(v.kept)
}

// CreateTemplate stores a template and its first version.
func (db *DB) CreateTemplate(ctx context.Context, t *store.Template, first *store.TemplateVersion) error {
	n := *t
	n.ID, n.CreatedAt = newUUID(), now()
	var v store.TemplateVersion
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		if _, err := db.DomainByID(ctx, n.DomainID); err != nil {
			return err
		}
		if err := atMost(ctx, q, store.MaxTemplates-1, `SELECT count(*) FROM template WHERE domain_id = $1`, n.DomainID); err != nil {
			return err
		}
		err := inserted(q.QueryRowContext(ctx, `INSERT INTO template (id, domain_id, name, description, created_by, created_at)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (domain_id, name) DO NOTHING RETURNING id`,
			n.ID, n.DomainID, n.Name, n.Description, n.CreatedBy, n.CreatedAt.UnixMicro()))
		if err != nil || first == nil {
			return err
		}
		v = *first
		return insertVersion(ctx, q, n.ID, &v)
	}, func() {
		db.versions.forget()
		*t = n
		if first != nil {
			*first = v
		}
	})
	if err != nil {
		return fmt.Errorf("create template %q: %w", n.Name, err)
	}
	return nil
}

// atMost returns ErrLimit if the query counts more.
func atMost(ctx context.Context, q Queryer, most int, query string, args ...any) error {
	var n int
	if err := q.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return err
	}
	if n > most {
		return store.ErrLimit
	}
	return nil
}

// inserted reads the id of an insertion that returns it, or nothing where there is one already.
func inserted(row *sql.Row) error {
	var id string
	err := row.Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrExists
	}
	return err
}

// insertVersion stores a version and fills in what it gets.
func insertVersion(ctx context.Context, q Queryer, template string, v *store.TemplateVersion) error {
	v.ID, v.CreatedAt = newUUID(), now()
	var count int
	if err := q.QueryRowContext(ctx, `SELECT count(*) FROM template_version WHERE template_id = $1`, template).Scan(&count); err != nil {
		return err
	}
	v.Active = v.Active || count == 0
	headers, err := json.Marshal(v.Headers)
	if err != nil {
		return fmt.Errorf("encode headers: %w", err)
	}
	// It is not active at first, so that there are never two.
	err = inserted(q.QueryRowContext(ctx, `INSERT INTO template_version (id, template_id, tag, body, comment, headers, active, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT (template_id, tag) DO NOTHING RETURNING id`,
		v.ID, template, v.Tag, v.Body, v.Comment, string(headers), v.CreatedAt.UnixMicro()))
	if err != nil {
		return err
	}
	if count >= store.MaxTemplateVersions {
		return store.ErrLimit
	}
	if !v.Active {
		return nil
	}
	return activate(ctx, q, template, v.ID)
}

// activate makes one version of a template the active one.
func activate(ctx context.Context, q Queryer, template, version string) error {
	if _, err := q.ExecContext(ctx, `UPDATE template_version SET active = 0 WHERE template_id = $1 AND active = 1`, template); err != nil {
		return err
	}
	_, err := q.ExecContext(ctx, `UPDATE template_version SET active = 1 WHERE id = $1`, version)
	return err
}

// Template returns a template.
func (db *DB) Template(ctx context.Context, domainID int64, name string) (store.Template, error) {
	t, err := readTemplate(ctx, db.read, domainID, name)
	if err != nil {
		return t, fmt.Errorf("template %q: %w", name, err)
	}
	return t, nil
}

func readTemplate(ctx context.Context, q Queryer, domainID int64, name string) (store.Template, error) {
	t := store.Template{DomainID: domainID, Name: name}
	var created int64
	err := q.QueryRowContext(ctx, `SELECT id, description, created_by, created_at FROM template WHERE domain_id = $1 AND name = $2`,
		domainID, name).Scan(&t.ID, &t.Description, &t.CreatedBy, &created)
	if err != nil {
		return store.Template{}, missing(err)
	}
	t.CreatedAt = time.UnixMicro(created).UTC()
	return t, nil
}

// missing turns the absence of a row into ErrNotFound.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// ListTemplates returns a page of templates.
func (db *DB) ListTemplates(ctx context.Context, domainID int64, p store.NamePage) ([]store.Template, error) {
	query := `SELECT id, name, description, created_by, created_at FROM template WHERE domain_id = $1 AND ($2 = '' OR name > $2) AND ($3 = '' OR name < $3)`
	rows, err := db.read.QueryContext(ctx, query+pageOrder(p, "name")+` LIMIT $4`, domainID, p.After, p.Before, p.Limit)
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	defer rows.Close()
	var list []store.Template
	for rows.Next() {
		t := store.Template{DomainID: domainID}
		var created int64
		if err := rows.Scan(&t.ID, &t.Name, &t.Description, &t.CreatedBy, &created); err != nil {
			return nil, fmt.Errorf("list templates: %w", err)
		}
		t.CreatedAt = time.UnixMicro(created).UTC()
		list = append(list, t)
	}
	if fromEnd(p) {
		slices.Reverse(list)
	}
	return list, rows.Err()
}

// fromEnd reports whether a page is counted from its end.
func fromEnd(p store.NamePage) bool { return p.Last || p.Before != "" }

// pageOrder is the order in which a page is read.
func pageOrder(p store.NamePage, column string) string {
	if fromEnd(p) {
		return ` ORDER BY ` + column + ` DESC`
	}
	return ` ORDER BY ` + column
}

// DescribeTemplate changes a description.
func (db *DB) DescribeTemplate(ctx context.Context, domainID int64, name, description string) error {
	return db.changeTemplate(ctx, "describe template", name, `UPDATE template SET description = $3 WHERE domain_id = $1 AND name = $2`, domainID, name, description)
}

// DeleteTemplate removes a template with its versions.
func (db *DB) DeleteTemplate(ctx context.Context, domainID int64, name string) error {
	return db.changeTemplate(ctx, "delete template", name, `DELETE FROM template WHERE domain_id = $1 AND name = $2`, domainID, name)
}

// changeTemplate runs a statement that changes exactly one row.
func (db *DB) changeTemplate(ctx context.Context, doing, name, query string, args ...any) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error { return changeOne(ctx, q, query, args...) }, db.versions.forget)
	if err != nil {
		return fmt.Errorf("%s %q: %w", doing, name, err)
	}
	return nil
}

// changeOne runs a statement; ErrNotFound if it changes nothing.
func changeOne(ctx context.Context, q Queryer, query string, args ...any) error {
	result, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	return err
}

// DeleteTemplates removes all templates of a domain.
func (db *DB) DeleteTemplates(ctx context.Context, domainID int64) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		_, err := q.ExecContext(ctx, `DELETE FROM template WHERE domain_id = $1`, domainID)
		return err
	}, db.versions.forget)
	if err != nil {
		return fmt.Errorf("delete templates: %w", err)
	}
	return nil
}

// CreateTemplateVersion stores a version.
func (db *DB) CreateTemplateVersion(ctx context.Context, domainID int64, name string, v *store.TemplateVersion) error {
	n := *v
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		t, err := readTemplate(ctx, q, domainID, name)
		if err != nil {
			return err
		}
		return insertVersion(ctx, q, t.ID, &n)
	}, func() {
		db.versions.forget()
		*v = n
	})
	if err != nil {
		return fmt.Errorf("create version %q of template %q: %w", v.Tag, name, err)
	}
	return nil
}

// TemplateVersion returns a version, from memory if it was asked for before.
func (db *DB) TemplateVersion(ctx context.Context, domainID int64, name, tag string) (store.TemplateVersion, error) {
	key := versionKey{domainID, name, tag}
	db.mu.RLock()
	v, known := db.versions.kept[key]
	generation := db.versions.generation
	db.mu.RUnlock()
	if known {
		return cloneVersion(v), ctx.Err()
	}
	v, _, err := readVersion(ctx, db.read, key)
	if err != nil {
		return v, fmt.Errorf("version %q of template %q: %w", tag, name, err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.versions.generation == generation {
		if db.versions.octets += len(v.Body); db.versions.octets > maxVersionsKept {
			clear(db.versions.kept)
			db.versions.octets = len(v.Body)
		}
		db.versions.kept[key] = cloneVersion(v)
	}
	return v, nil
}

// cloneVersion returns a copy that shares nothing with v that can be changed.
func cloneVersion(v store.TemplateVersion) store.TemplateVersion {
	headers := make(map[string]string, len(v.Headers))
	for name, value := range v.Headers {
		headers[name] = value
	}
	v.Headers = headers
	return v
}

// versionColumns are the columns of a version besides its body.
const versionColumns = `v.id, v.tag, v.comment, v.headers, v.active, v.created_at`

// readVersion returns a version and the id of its template.
func readVersion(ctx context.Context, q Queryer, key versionKey) (v store.TemplateVersion, template string, err error) {
	row := q.QueryRowContext(ctx, `SELECT `+versionColumns+`, v.body, t.id FROM template t JOIN template_version v ON v.template_id = t.id
		WHERE t.domain_id = $1 AND t.name = $2 AND ($3 = '' AND v.active = 1 OR v.tag = $3)`, key.domainID, key.name, key.tag)
	err = scanVersion(row.Scan, &v, &v.Body, &template)
	return v, template, missing(err)
}

// scanVersion reads versionColumns and what follows them.
func scanVersion(scan func(...any) error, v *store.TemplateVersion, more ...any) error {
	var headers string
	var active, created int64
	if err := scan(append([]any{&v.ID, &v.Tag, &v.Comment, &headers, &active, &created}, more...)...); err != nil {
		return err
	}
	v.Active, v.CreatedAt = active == 1, time.UnixMicro(created).UTC()
	if err := json.Unmarshal([]byte(headers), &v.Headers); err != nil {
		return fmt.Errorf("version %s: headers: %w", v.ID, err)
	}
	if v.Headers == nil {
		v.Headers = map[string]string{}
	}
	return nil
}

// ListTemplateVersions returns a page of versions.
func (db *DB) ListTemplateVersions(ctx context.Context, domainID int64, name string, p store.NamePage) ([]store.TemplateVersion, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT `+versionColumns+` FROM template t JOIN template_version v ON v.template_id = t.id
		WHERE t.domain_id = $1 AND t.name = $2 AND ($3 = '' OR v.tag > $3) AND ($4 = '' OR v.tag < $4)`+pageOrder(p, "v.tag")+` LIMIT $5`,
		domainID, name, p.After, p.Before, p.Limit)
	if err != nil {
		return nil, fmt.Errorf("list versions of template %q: %w", name, err)
	}
	defer rows.Close()
	var list []store.TemplateVersion
	for rows.Next() {
		var v store.TemplateVersion
		if err := scanVersion(rows.Scan, &v); err != nil {
			return nil, fmt.Errorf("list versions of template %q: %w", name, err)
		}
		list = append(list, v)
	}
	if fromEnd(p) {
		slices.Reverse(list)
	}
	return list, rows.Err()
}

// UpdateTemplateVersion changes a version.
func (db *DB) UpdateTemplateVersion(ctx context.Context, domainID int64, name, tag string, change func(*store.TemplateVersion) error) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		old, template, err := readVersion(ctx, q, versionKey{domainID, name, tag})
		if err != nil {
			return err
		}
		n := cloneVersion(old)
		if err := change(&n); err != nil {
			return err
		}
		headers, err := json.Marshal(n.Headers)
		if err != nil {
			return fmt.Errorf("encode headers: %w", err)
		}
		if err := changeOne(ctx, q, `UPDATE template_version SET body = $1, comment = $2, headers = $3 WHERE id = $4`, n.Body, n.Comment, string(headers), old.ID); err != nil {
			return err
		}
		if !n.Active || old.Active {
			return nil
		}
		return activate(ctx, q, template, old.ID)
	}, db.versions.forget)
	if err != nil {
		return fmt.Errorf("update version %q of template %q: %w", tag, name, err)
	}
	return nil
}

// DeleteTemplateVersion removes a version.
func (db *DB) DeleteTemplateVersion(ctx context.Context, domainID int64, name, tag string) error {
	return db.changeTemplate(ctx, "delete version "+tag+" of template", name,
		`DELETE FROM template_version WHERE tag = $3 AND template_id IN (SELECT id FROM template WHERE domain_id = $1 AND name = $2)`, domainID, name, tag)
}
