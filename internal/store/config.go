package store

import (
	"context"
	"net/netip"
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
	DKIM      []DKIMKey // in the order they were made; no two have one selector
	Settings  DomainSettings
	Checks    []DNSCheck // what verify last saw, one per record
	// AccountDisabled: the account may not send, so the domain may not either. It is the
	// account's, filled in by every read and ignored by every change.
	AccountDisabled bool
}

// A DKIMKey signs a domain's mail. PrivatePEM never leaves the process.
type DKIMKey struct {
	Selector   string    `json:"selector"`
	PrivatePEM string    `json:"private"` // PKCS #8
	Public     string    `json:"public"`  // value of the TXT record
	Active     bool      `json:"active,omitempty"`
	CreatedAt  time.Time `json:"created-at,omitzero"`
	// SeenAt is when its record was first found in DNS as it should be; zero: not yet.
	SeenAt time.Time `json:"seen-at,omitzero"`
	// Successor: made by a rotation; once it is seen the keys before it retire.
	Successor bool `json:"successor,omitempty"`
	// RetiredAt is when a rotation took it out of use; zero: it was not. Its record must
	// stay in DNS for a while: mail that it signed is still on its way.
	RetiredAt time.Time `json:"retired-at,omitzero"`
}

// SigningKeys returns the keys that sign now: the active ones whose record was seen in DNS.
// A signature that cannot be verified is worth less than none, but a domain none of whose keys was
// seen signs with all that are active: it may be that nobody looked.
func (d *Domain) SigningKeys() []DKIMKey {
	var active, seen []DKIMKey
	for _, k := range d.DKIM {
		if !k.Active {
			continue
		}
		active = append(active, k)
		if !k.SeenAt.IsZero() {
			seen = append(seen, k)
		}
	}
	if len(seen) > 0 {
		return seen
	}
	return active
}

// DomainSettings are kept for clients and shown back to them.
type DomainSettings struct {
	SpamAction  string `json:"spam-action,omitempty"` // disabled, block, tag
	Wildcard    bool   `json:"wildcard,omitempty"`
	WebScheme   string `json:"web-scheme,omitempty"` // http, https
	WebPrefix   string `json:"web-prefix,omitempty"`
	DKIMDisable bool   `json:"dkim-disable,omitempty"` // do not sign unless o:dkim asks
	DisabledWhy string `json:"disabled-why,omitempty"`

	// DKIMAuthority is the domain of the same account, above this one, whose keys sign this one's
	// mail; empty: its own do.
	DKIMAuthority string `json:"dkim-authority,omitempty"`
	// DKIMRotation is the time between rotations of the domain's keys; 0: they are not rotated.
	DKIMRotation time.Duration `json:"dkim-rotation,omitempty"`

	MailFromHost    string `json:"mailfrom-host,omitempty"` // below the domain; empty: none
	AutomaticSender bool   `json:"automatic-sender,omitempty"`
	EncryptIncoming bool   `json:"encrypt-incoming,omitempty"`
	ArchiveTo       string `json:"archive-to,omitempty"`
	MessageTTL      int    `json:"message-ttl,omitempty"` // seconds; 0: as everywhere

	// IPs are the addresses of ours that the domain's mail leaves from; Pool names a pool of them
	// instead. Neither: those that are in no pool.
	IPs  []netip.Addr `json:"ips,omitempty"`
	Pool string       `json:"pool,omitempty"`

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
	Value     string    `json:"value,omitempty"` // what was looked for
	Valid     string    `json:"valid"`           // valid, invalid, unknown
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
	// UpdateKey calls change with the stored key and stores what it leaves behind, with a new
	// UpdatedAt. What cannot be changed is ID, Hash, AccountID, DomainID, CreatedAt and Use.
	UpdateKey(ctx context.Context, id string, change func(*Key) error) (Key, error)
	// DeleteKey forgets a key; it is refused from then on.
	DeleteKey(ctx context.Context, id string) error
	// NoteKeyUse stores when keys were used, by their id. Keys that are gone are passed over.
	NoteKeyUse(ctx context.Context, uses map[string]KeyUse) error
}

// A KeyRole says what a key may do.
type KeyRole string

const (
	RoleAdmin     KeyRole = "admin"     // everything of the account, or of the domain that it is bound to
	RoleDeveloper KeyRole = "developer" // as admin, but neither keys nor accounts
	RoleBasic     KeyRole = "basic"     // looks at everything that a developer may change, and changes nothing
	RoleSending   KeyRole = "sending"   // only POST messages and messages.mime of its domain, or of any if it has none
	RolePublic    KeyRole = "public"    // nothing
)

// A KeyKind says what a key was made for.
type KeyKind string

const (
	KindUser   KeyKind = "user"   // of an account
	KindDomain KeyKind = "domain" // of one domain
	KindWeb    KeyKind = "web"    // of somebody's session, for a day at most
	KindPublic KeyKind = "public" // may be known to everybody, because it may do nothing
)

// A Key is an API key without its secret.
type Key struct {
	ID          string // 16 hexadecimal digits, not secret
	Hash        [32]byte
	Role        KeyRole
	Kind        KeyKind // empty when created: user, or domain if it is bound to one
	AccountID   int64   // whose it is; 0 when created means PrimaryAccount
	DomainID    int64   // 0: every domain of the account
	Description string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	ExpiresAt   time.Time // refused from then on; zero: never
	Disabled    bool      // refused
	Details     KeyDetails
	Use         KeyUse
}

// Expired tells whether the key's time is over.
func (k *Key) Expired(now time.Time) bool { return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) }

// KeyDetails are what else is set for a key.
type KeyDetails struct {
	UserID    string `json:"user-id,omitempty"`
	UserName  string `json:"user-name,omitempty"`
	Email     string `json:"email,omitempty"`
	Requestor string `json:"requestor,omitempty"` // who made it
	// Addresses are where it may be used from; none: from anywhere. Masked.
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	PerMinute int            `json:"per-minute,omitempty"` // sending calls; 0: any number
	PerDay    int            `json:"per-day,omitempty"`    // sending calls of a day, UTC; 0: any number
}

// A KeyUse is how a key was used. It is stored now and then, not at every call.
type KeyUse struct {
	LastUsed time.Time // zero: never
	Day      string    // 2006-01-02, UTC; empty: no day
	Sends    int       // sending calls on that day
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
