package store

import (
	"context"
	"errors"
	"time"
)

// Limits on templates.
const (
	MaxTemplates        = 100       // of a domain
	MaxTemplateVersions = 40        // of a template
	MaxTemplateBody     = 100 << 10 // octets of a version
)

// ErrLimit: there are as many of a thing as there may be.
var ErrLimit = errors.New("limit reached")

// Templates keeps the templates that a sending domain's mail is made from. A template has
// versions, of which at most one is active. Names and tags are compared as they are; callers
// lower-case them. They go with their domain.
type Templates interface {
	// CreateTemplate stores t and, if it is not nil, its first version, which becomes active;
	// it fills in ids, times and Active. ErrExists if the domain has one of that name, ErrLimit if it has
	// MaxTemplates.
	CreateTemplate(ctx context.Context, t *Template, first *TemplateVersion) error
	// Template returns a template of the domain.
	Template(ctx context.Context, domainID int64, name string) (Template, error)
	// ListTemplates returns a page of the domain's templates, by name.
	ListTemplates(ctx context.Context, domainID int64, p NamePage) ([]Template, error)
	// DescribeTemplate gives a template another description.
	DescribeTemplate(ctx context.Context, domainID int64, name, description string) error
	// DeleteTemplate removes a template with its versions.
	DeleteTemplate(ctx context.Context, domainID int64, name string) error
	// DeleteTemplates removes all templates of the domain.
	DeleteTemplates(ctx context.Context, domainID int64) error

	// CreateTemplateVersion stores v, and fills in ID, CreatedAt and Active: the first version is
	// always active, and one that becomes active takes that from the others. ErrExists if there is
	// one of that tag, ErrLimit if there are MaxTemplateVersions.
	CreateTemplateVersion(ctx context.Context, domainID int64, name string, v *TemplateVersion) error
	// TemplateVersion returns a version with its body; an empty tag means the active one.
	// Versions in use are answered from memory.
	TemplateVersion(ctx context.Context, domainID int64, name, tag string) (TemplateVersion, error)
	// ListTemplateVersions returns a page of a template's versions by tag, without bodies.
	ListTemplateVersions(ctx context.Context, domainID int64, name string, p NamePage) ([]TemplateVersion, error)
	// UpdateTemplateVersion calls change with the stored version and stores what it leaves
	// behind. An error of change is returned and changes nothing. ID, Tag and CreatedAt cannot be changed,
	// and Active only to true.
	UpdateTemplateVersion(ctx context.Context, domainID int64, name, tag string, change func(*TemplateVersion) error) error
	// DeleteTemplateVersion removes a version. If it was active, none is until one is made so.
	DeleteTemplateVersion(ctx context.Context, domainID int64, name, tag string) error
}

// A Template is a name for versions of a text.
type Template struct {
	ID          string // a UUID
	DomainID    int64
	Name        string
	Description string
	CreatedBy   string // as its maker says
	CreatedAt   time.Time
}

// A TemplateVersion is a text that messages are made from, in Handlebars.
type TemplateVersion struct {
	ID        string // a UUID
	Tag       string
	Body      string
	Comment   string
	Headers   map[string]string // From, Subject, Reply-To: what a message has that says nothing of its own
	Active    bool              // used where no version is asked for
	CreatedAt time.Time
}

// A NamePage asks for part of a list that is ordered by name.
type NamePage struct {
	// After and Before bound the names, both excluded; empty means open. With Before, or with
	// Last, the names nearest to the end are given. Order is by name in any case.
	After, Before string
	Last          bool
	Limit         int // 1 to 1,000
}
