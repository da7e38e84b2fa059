package store

import (
	"context"
	"time"
)

// Limits on routes and mailing lists.
const (
	MaxRoutes      = 1000    // of an account
	MaxLists       = 1000    // of an account
	MaxListMembers = 100_000 // of a list
)

// Routes keeps the rules of accounts for received mail. An account id of 0 reads and changes
// those of every account.
type Routes interface {
	// CreateRoute stores r and fills in its ID and CreatedAt. ErrLimit if the account has MaxRoutes.
	CreateRoute(ctx context.Context, r *Route) error
	// Route returns a route of the account.
	Route(ctx context.Context, accountID int64, id string) (Route, error)
	// ListRoutes returns routes of the account in the order in which they are tried, from the
	// given one on, and how many there are in all.
	ListRoutes(ctx context.Context, accountID int64, skip, limit int) (routes []Route, total int, err error)
	// UpdateRoute calls change with the stored route and stores what it leaves behind; an error of
	// change is returned and changes nothing. ID, AccountID and CreatedAt cannot be changed.
	UpdateRoute(ctx context.Context, accountID int64, id string, change func(*Route) error) (Route, error)
	// DeleteRoute removes a route.
	DeleteRoute(ctx context.Context, accountID int64, id string) error
}

// A Route says what is done with received mail that fits.
type Route struct {
	ID          string // 24 hexadecimal digits
	AccountID   int64  // whose it is; 0 when created means PrimaryAccount
	Priority    int    // lower ones are tried first, equal ones in the order of their making
	Description string
	Expression  string
	Actions     []string
	CreatedAt   time.Time
}

// MailingLists keeps the mailing lists of accounts and who is on them. Addresses are in lower
// case. An account id of 0 reads and changes those of every account.
type MailingLists interface {
	// CreateMailingList stores l and fills in its ID and CreatedAt. ErrNotFound if there is no such domain, ErrExists if there is one of that
	// address, ErrLimit if the account has MaxLists.
	CreateMailingList(ctx context.Context, l *MailingList) error
	// MailingList returns a list of the account.
	MailingList(ctx context.Context, accountID int64, address string) (MailingList, error)
	// MailingLists returns a page of the account's lists by address, from the given one on, and how
	// many there are in all.
	MailingLists(ctx context.Context, accountID int64, p NamePage, skip int) (lists []MailingList, total int, err error)
	// UpdateMailingList calls change with the stored list and stores what it leaves behind; an
	// error of change is returned and changes nothing. ID, AccountID, CreatedAt and Members cannot be changed.
	// ErrExists if there is another list of the new address.
	UpdateMailingList(ctx context.Context, accountID int64, address string, change func(*MailingList) error) (MailingList, error)
	// DeleteMailingList removes a list with its members.
	DeleteMailingList(ctx context.Context, accountID int64, address string) error

	// PutListMembers stores members of a list in one transaction; those that are on it already are replaced
	// with upsert, else left as they are, and n is how many were stored. ErrLimit if there would be
	// more than MaxListMembers: then none is stored.
	PutListMembers(ctx context.Context, list int64, members []ListMember, upsert bool) (n int, err error)
	// ListMember returns a member of a list.
	ListMember(ctx context.Context, list int64, address string) (ListMember, error)
	// ListMembers returns a page of members by address, and how many there are in all.
	ListMembers(ctx context.Context, list int64, q MemberQuery) (members []ListMember, total int, err error)
	// UpdateListMember calls change with the stored member and stores what it leaves behind; an
	// error of change is returned and changes nothing. ErrExists if another member has the new address.
	UpdateListMember(ctx context.Context, list int64, address string, change func(*ListMember) error) (ListMember, error)
	// DeleteListMember removes a member.
	DeleteListMember(ctx context.Context, list int64, address string) error
}

// An AccessLevel says who may send to a list.
type AccessLevel string

const (
	AccessReadOnly AccessLevel = "readonly" // its owner, by an API key or login
	AccessMembers  AccessLevel = "members"  // its members as well
	AccessEveryone AccessLevel = "everyone"
)

// A MailingList is an address that stands for its members.
type MailingList struct {
	ID              int64
	AccountID       int64 // whose it is; 0 when created means PrimaryAccount
	DomainID        int64 // of the sending domain of its address, with which it goes
	Address         string
	Name            string
	Description     string
	Access          AccessLevel
	ReplyPreference string // list or sender
	CreatedAt       time.Time
	Members         int // how many there are, subscribed or not
}

// A ListMember is an address on a list.
type ListMember struct {
	Address    string
	Name       string
	Vars       string // a JSON object
	Subscribed bool   // gets what is sent to the list
}

// A MemberQuery picks members of a list.
type MemberQuery struct {
	NamePage
	Skip       int
	Subscribed *bool // nil: both kinds
}
