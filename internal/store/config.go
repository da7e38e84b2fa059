package store

import (
	"context"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// Domains keeps sending domains. Reads by id or name are answered from memory:
// rooms ask for every message and attempt.
type Domains interface {
	// CreateDomain stores d and fills in its ID and CreatedAt. ErrExists if the name is taken.
	CreateDomain(ctx context.Context, d *Domain) error
	// Domain returns the domain of that name (A-labels, lower case).
	Domain(ctx context.Context, name string) (Domain, error)
	// DomainByID returns the domain with that id.
	DomainByID(ctx context.Context, id int64) (Domain, error)
	// ListDomains returns all domains, newest first.
	ListDomains(ctx context.Context) ([]Domain, error)
	// UpdateDomain calls change with the stored domain and stores what it leaves
	// behind, in one transaction. An error from change is returned and changes
	// nothing. ID, AccountID, Name and CreatedAt cannot be changed.
	UpdateDomain(ctx context.Context, name string, change func(*Domain) error) (Domain, error)
	// DeleteDomain removes the domain with its credentials and keys. Its queued mail
	// is cancelled by the caller first. Its id is never given again.
	DeleteDomain(ctx context.Context, name string) error
}

// PrimaryAccount is the account that a new installation has. Others are its sub-accounts.
const PrimaryAccount int64 = 1

// A DomainState says whether a domain may send.
type DomainState string

const (
	DomainActive     DomainState = "active"
	DomainUnverified DomainState = "unverified" // its DNS records were not seen yet
	DomainDisabled   DomainState = "disabled"
)

// A Domain is a sending domain with everything that is set for it.
type Domain struct {
	ID        int64
	AccountID int64  // whose it is; 0 when created means PrimaryAccount
	Name      string // A-labels, lower case
	CreatedAt time.Time
	State     DomainState
	TLS       mail.TLSFlags // the domain level of the two flags
	Delivery  mail.DomainDelivery
	DKIM      DKIMKey
	Settings  DomainSettings
	Checks    []DNSCheck // what verify last saw, one per record
}

// A DKIMKey signs a domain's mail. PrivatePEM never leaves the process.
type DKIMKey struct {
	Selector   string
	PrivatePEM string // PKCS #8
	Public     string // value of the TXT record
}

// DomainSettings are kept for clients and shown back to them.
type DomainSettings struct {
	SpamAction  string `json:"spam-action,omitempty"` // disabled, block, tag
	Wildcard    bool   `json:"wildcard,omitempty"`
	WebScheme   string `json:"web-scheme,omitempty"` // http, https
	WebPrefix   string `json:"web-prefix,omitempty"`
	DKIMDisable bool   `json:"dkim-disable,omitempty"` // do not sign unless o:dkim asks
	DisabledWhy string `json:"disabled-why,omitempty"`

	Tracking Tracking `json:"tracking,omitzero"`
}

// Clicks says which links of a message lead over us.
type Clicks string

const (
	ClicksOff  Clicks = ""
	ClicksAll  Clicks = "yes"
	ClicksHTML Clicks = "htmlonly" // those of HTML, not those of plain text
)

// Tracking is what a domain wants to know of its mail after delivery. The zero value is nothing.
type Tracking struct {
	Opens       bool   `json:"opens,omitempty"`
	PixelTop    bool   `json:"pixel-top,omitempty"` // the image at the beginning, not at the end
	Clicks      Clicks `json:"clicks,omitempty"`
	Unsubscribe bool   `json:"unsubscribe,omitempty"` // footers, and List-Unsubscribe
	HTMLFooter  string `json:"html-footer,omitempty"` // empty: the default
	TextFooter  string `json:"text-footer,omitempty"` // empty: the default
}

// Words of a DNSCheck that says where the tracking host of a domain points to.
const (
	CheckCNAME = "CNAME"
	CheckValid = "valid"
)

// TrackingHost returns the name under which the domain wants its links.
func (d *Domain) TrackingHost() string {
	prefix := d.Settings.WebPrefix
	if prefix == "" {
		prefix = "email"
	}
	return prefix + "." + d.Name
}

// TrackingHostSeen reports whether the tracking host was seen to lead to us.
func (d *Domain) TrackingHostSeen() bool {
	host := d.TrackingHost()
	return slices.ContainsFunc(d.Checks, func(c DNSCheck) bool {
		return c.Name == host && c.Type == CheckCNAME && c.Valid == CheckValid
	})
}

// A DNSCheck is one published record as verify last saw it.
type DNSCheck struct {
	Name      string    `json:"name"`
	Type      string    `json:"type"`
	Valid     string    `json:"valid"` // valid, invalid, unknown
	Seen      []string  `json:"seen,omitempty"`
	CheckedAt time.Time `json:"checked-at"`
}

// Keys keeps API keys, as hashes only.
type Keys interface {
	// CreateKey stores k and fills in its ID and CreatedAt. ErrExists if the hash is known.
	CreateKey(ctx context.Context, k *Key) error
	// KeyByHash finds a key, from memory.
	KeyByHash(ctx context.Context, hash [32]byte) (Key, error)
	// ListKeys returns all keys, oldest first.
	ListKeys(ctx context.Context) ([]Key, error)
	// DeleteKey forgets a key; it is refused from then on.
	DeleteKey(ctx context.Context, id string) error
}

// A KeyRole says what a key may do.
type KeyRole string

const (
	RoleAdmin   KeyRole = "admin"   // everything
	RoleSending KeyRole = "sending" // only POST messages and messages.mime of its domain, or of any if it has none
)

// A Key is an API key without its secret.
type Key struct {
	ID          string // 16 hexadecimal digits, not secret
	Hash        [32]byte
	Role        KeyRole
	AccountID   int64 // whose it is; 0 when created means PrimaryAccount
	DomainID    int64 // 0: every domain of the account
	Description string
	CreatedAt   time.Time
}

// Credentials keeps submission logins.
type Credentials interface {
	// PutCredential creates or replaces a login; created says which.
	PutCredential(ctx context.Context, c Credential) (created bool, err error)
	// Credential returns the login of that name, from memory.
	Credential(ctx context.Context, login string) (Credential, error)
	// ListCredentials returns a domain's logins by name.
	ListCredentials(ctx context.Context, domainID int64) ([]Credential, error)
	// DeleteCredential removes a login of the domain.
	DeleteCredential(ctx context.Context, domainID int64, login string) error
}

// A Credential is a submission login of a sending domain.
type Credential struct {
	Login        string // full address, lower case
	DomainID     int64
	PasswordHash string // argon2id in its usual encoded form
	CreatedAt    time.Time
}
