package store

import (
	"context"
	"net/netip"
	"time"
)

// PrimaryAccount is the account that a new installation has. Others are its sub-accounts.
const PrimaryAccount int64 = 1

// Accounts keeps accounts. Reads are answered from memory.
type Accounts interface {
	// CreateAccount stores a and fills in its ID, Ref and times.
	CreateAccount(ctx context.Context, a *Account) error
	// Account returns the account with that id.
	Account(ctx context.Context, id int64) (Account, error)
	// AccountByRef returns the account that clients know by that name.
	AccountByRef(ctx context.Context, ref string) (Account, error)
	// ListAccounts returns all accounts, oldest first: the first is the primary one.
	ListAccounts(ctx context.Context) ([]Account, error)
	// UpdateAccount calls change with the stored account and stores what it leaves behind,
	// with a new UpdatedAt. An error from change is returned and changes nothing. ID, Ref and
	// CreatedAt cannot be changed.
	UpdateAccount(ctx context.Context, id int64, change func(*Account) error) (Account, error)
	// DeleteAccount removes the account with its keys and pools. Its domains are deleted by
	// the caller first: ErrExists while there is one. The primary account cannot be
	// deleted. Its id is never given again.
	DeleteAccount(ctx context.Context, id int64) error
}

// An Account owns domains, keys and pools. What belongs to one does not exist for another.
type Account struct {
	ID        int64
	Ref       string // 24 hexadecimal digits, not secret
	Name      string
	Disabled  bool // its domains may not send
	CreatedAt time.Time
	UpdatedAt time.Time
	Settings  AccountSettings
}

// MaySend tells whether the account's domains may send at all.
func (a *Account) MaySend() bool { return !a.Disabled && !a.Settings.SendingOff }

// AccountSettings are an account's settings. The zero value is the default of every one.
type AccountSettings struct {
	// SendingOff takes sending from a sub-account without disabling it.
	SendingOff bool `json:"sending-off,omitempty"`
	// Allowed are the addresses that the account's keys may be used from; none: from anywhere.
	Allowed []AllowedAddress `json:"allowed,omitempty"`
	// Pool is the id of a pool of the primary account that a sub-account may use; empty: none.
	Pool string `json:"pool,omitempty"`
}

// An AllowedAddress is an address, or a network of them, with a note for people.
type AllowedAddress struct {
	Prefix      netip.Prefix `json:"prefix"` // masked; one address has all bits
	Description string       `json:"description,omitempty"`
}

// Pools keeps groups of our own addresses to send from. Reads are answered from memory.
type Pools interface {
	// CreatePool stores p and fills in its ID and CreatedAt. ErrNotFound if there is no such account.
	CreatePool(ctx context.Context, p *Pool) error
	// Pool returns a pool of the account.
	Pool(ctx context.Context, accountID int64, id string) (Pool, error)
	// ListPools returns the account's pools, oldest first; of every account for 0.
	ListPools(ctx context.Context, accountID int64) ([]Pool, error)
	// UpdatePool calls change with the stored pool and stores what it leaves behind. An error
	// from change is returned and changes nothing. ID, AccountID and CreatedAt cannot be changed.
	UpdatePool(ctx context.Context, accountID int64, id string, change func(*Pool) error) (Pool, error)
	// DeletePool removes a pool of the account.
	DeletePool(ctx context.Context, accountID int64, id string) error
}

// A Pool is a group of addresses.
type Pool struct {
	ID          string // 24 hexadecimal digits, not secret
	AccountID   int64
	Name        string
	Description string
	IPs         []netip.Addr // in the order they were added, none twice
	CreatedAt   time.Time
}
