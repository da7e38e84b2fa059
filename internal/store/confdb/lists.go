package confdb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

var _ store.MailingLists = (*DB)(nil)

// CreateMailingList stores a list.
func (db *DB) CreateMailingList(ctx context.Context, l *store.MailingList) error {
	n := *l
	n.CreatedAt, n.Members = now(), 0
	n.AccountID = cmp.Or(n.AccountID, store.PrimaryAccount)
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		if _, err := db.DomainByID(ctx, n.DomainID); err != nil {
			return err
		}
		if err := atMost(ctx, q, store.MaxLists-1, `SELECT count(*) FROM mailing_list WHERE account_id = $1`, n.AccountID); err != nil {
			return err
		}
		err := q.QueryRowContext(ctx, `INSERT INTO mailing_list (account_id, domain_id, address, name, description, access_level, reply_preference, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (address) DO NOTHING RETURNING id`,
			n.AccountID, n.DomainID, n.Address, n.Name, n.Description, string(n.Access), n.ReplyPreference, n.CreatedAt.UnixMicro()).Scan(&n.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrExists
		}
		return err
	}, func() { *l = n })
	if err != nil {
		return fmt.Errorf("create mailing list %q: %w", l.Address, err)
	}
	return nil
}

// listColumns are the columns of a list, and how many members it has.
const listColumns = `l.id, l.account_id, l.domain_id, l.address, l.name, l.description, l.access_level, l.reply_preference, l.created_at,
	(SELECT count(*) FROM list_member m WHERE m.list_id = l.id)`

func scanList(scan func(...any) error) (l store.MailingList, err error) {
	var access string
	var created int64
	if err := scan(&l.ID, &l.AccountID, &l.DomainID, &l.Address, &l.Name, &l.Description, &access, &l.ReplyPreference, &created, &l.Members); err != nil {
		return store.MailingList{}, missing(err)
	}
	l.Access, l.CreatedAt = store.AccessLevel(access), time.UnixMicro(created).UTC()
	return l, nil
}

func readList(ctx context.Context, q Queryer, accountID int64, address string) (store.MailingList, error) {
	return scanList(q.QueryRowContext(ctx, `SELECT `+listColumns+` FROM mailing_list l WHERE l.address = $1 AND ($2 = 0 OR l.account_id = $2)`, address, accountID).Scan)
}

// MailingList returns a list.
func (db *DB) MailingList(ctx context.Context, accountID int64, address string) (store.MailingList, error) {
	l, err := readList(ctx, db.read, accountID, address)
	if err != nil {
		return l, fmt.Errorf("mailing list %q: %w", address, err)
	}
	return l, nil
}

// MailingLists returns a page of lists.
func (db *DB) MailingLists(ctx context.Context, accountID int64, p store.NamePage, skip int) (list []store.MailingList, total int, err error) {
	if err := db.read.QueryRowContext(ctx, `SELECT count(*) FROM mailing_list WHERE $1 = 0 OR account_id = $1`, accountID).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count mailing lists: %w", err)
	}
	rows, err := db.read.QueryContext(ctx, `SELECT `+listColumns+` FROM mailing_list l WHERE ($1 = 0 OR l.account_id = $1)
		AND ($2 = '' OR l.address > $2) AND ($3 = '' OR l.address < $3)`+pageOrder(p, "l.address")+` LIMIT $4 OFFSET $5`,
		accountID, p.After, p.Before, p.Limit, skip)
	if err != nil {
		return nil, 0, fmt.Errorf("list mailing lists: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		l, err := scanList(rows.Scan)
		if err != nil {
			return nil, 0, fmt.Errorf("list mailing lists: %w", err)
		}
		list = append(list, l)
	}
	if fromEnd(p) {
		slices.Reverse(list)
	}
	return list, total, rows.Err()
}

// UpdateMailingList changes a list.
func (db *DB) UpdateMailingList(ctx context.Context, accountID int64, address string, change func(*store.MailingList) error) (store.MailingList, error) {
	var n store.MailingList
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		old, err := readList(ctx, q, accountID, address)
		if err != nil {
			return err
		}
		n = old
		if err := change(&n); err != nil {
			return err
		}
		n.ID, n.AccountID, n.CreatedAt, n.Members = old.ID, old.AccountID, old.CreatedAt, old.Members
		if n.Address != old.Address {
			if _, err := readList(ctx, q, 0, n.Address); !errors.Is(err, store.ErrNotFound) {
				return cmp.Or(err, store.ErrExists)
			}
		}
		return changeOne(ctx, q, `UPDATE mailing_list SET address = $1, name = $2, description = $3, access_level = $4, reply_preference = $5, domain_id = $6 WHERE id = $7`,
			n.Address, n.Name, n.Description, string(n.Access), n.ReplyPreference, n.DomainID, n.ID)
	}, func() {})
	if err != nil {
		return store.MailingList{}, fmt.Errorf("update mailing list %q: %w", address, err)
	}
	return n, nil
}

// DeleteMailingList removes a list with its members.
func (db *DB) DeleteMailingList(ctx context.Context, accountID int64, address string) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		return changeOne(ctx, q, `DELETE FROM mailing_list WHERE address = $1 AND ($2 = 0 OR account_id = $2)`, address, accountID)
	}, func() {})
	if err != nil {
		return fmt.Errorf("delete mailing list %q: %w", address, err)
	}
	return nil
}

// PutListMembers stores members.
func (db *DB) PutListMembers(ctx context.Context, list int64, members []store.ListMember, upsert bool) (n int, err error) {
	query := `INSERT INTO list_member (list_id, address, name, vars, subscribed) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (list_id, address) DO `
	if upsert {
		query += `UPDATE SET name = excluded.name, vars = excluded.vars, subscribed = excluded.subscribed`
	} else {
		query += `NOTHING`
	}
	err = db.change(ctx, func(ctx context.Context, q Queryer) error {
		var known int64
		if err := q.QueryRowContext(ctx, `SELECT id FROM mailing_list WHERE id = $1`, list).Scan(&known); err != nil {
			return missing(err)
		}
		for _, m := range members {
			result, err := q.ExecContext(ctx, query, list, m.Address, m.Name, m.Vars, boolInt(m.Subscribed))
			if err != nil {
				return err
			}
			changed, err := result.RowsAffected()
			if err != nil {
				return err
			}
			n += int(changed)
		}
		return atMost(ctx, q, store.MaxListMembers, `SELECT count(*) FROM list_member WHERE list_id = $1`, list)
	}, func() {})
	if err != nil {
		return 0, fmt.Errorf("store members of a mailing list: %w", err)
	}
	return n, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func scanMember(scan func(...any) error) (m store.ListMember, err error) {
	var subscribed int
	if err := scan(&m.Address, &m.Name, &m.Vars, &subscribed); err != nil {
		return store.ListMember{}, missing(err)
	}
	m.Subscribed = subscribed == 1
	return m, nil
}

func readMember(ctx context.Context, q Queryer, list int64, address string) (store.ListMember, error) {
	return scanMember(q.QueryRowContext(ctx, `SELECT address, name, vars, subscribed FROM list_member WHERE list_id = $1 AND address = $2`, list, address).Scan)
}

// ListMember returns a member.
func (db *DB) ListMember(ctx context.Context, list int64, address string) (store.ListMember, error) {
	m, err := readMember(ctx, db.read, list, address)
	if err != nil {
		return m, fmt.Errorf("member %q: %w", address, err)
	}
	return m, nil
}

// ListMembers returns a page of members.
func (db *DB) ListMembers(ctx context.Context, list int64, mq store.MemberQuery) (members []store.ListMember, total int, err error) {
	subscribed := -1
	if mq.Subscribed != nil {
		subscribed = boolInt(*mq.Subscribed)
	}
	if err := db.read.QueryRowContext(ctx, `SELECT count(*) FROM list_member WHERE list_id = $1 AND ($2 = -1 OR subscribed = $2)`, list, subscribed).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count members: %w", err)
	}
	rows, err := db.read.QueryContext(ctx, `SELECT address, name, vars, subscribed FROM list_member WHERE list_id = $1 AND ($2 = -1 OR subscribed = $2)
		AND ($3 = '' OR address > $3) AND ($4 = '' OR address < $4)`+pageOrder(mq.NamePage, "address")+` LIMIT $5 OFFSET $6`,
		list, subscribed, mq.After, mq.Before, mq.Limit, mq.Skip)
	if err != nil {
		return nil, 0, fmt.Errorf("list members: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		m, err := scanMember(rows.Scan)
		if err != nil {
			return nil, 0, fmt.Errorf("list members: %w", err)
		}
		members = append(members, m)
	}
	if fromEnd(mq.NamePage) {
		slices.Reverse(members)
	}
	return members, total, rows.Err()
}

// UpdateListMember changes a member.
func (db *DB) UpdateListMember(ctx context.Context, list int64, address string, change func(*store.ListMember) error) (store.ListMember, error) {
	var n store.ListMember
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		old, err := readMember(ctx, q, list, address)
		if err != nil {
			return err
		}
		n = old
		if err := change(&n); err != nil {
			return err
		}
		if n.Address != old.Address {
			if _, err := readMember(ctx, q, list, n.Address); !errors.Is(err, store.ErrNotFound) {
				return cmp.Or(err, store.ErrExists)
			}
		}
		return changeOne(ctx, q, `UPDATE list_member SET address = $1, name = $2, vars = $3, subscribed = $4 WHERE list_id = $5 AND address = $6`,
			n.Address, n.Name, n.Vars, boolInt(n.Subscribed), list, address)
	}, func() {})
	if err != nil {
		return store.ListMember{}, fmt.Errorf("update member %q: %w", address, err)
	}
	return n, nil
}

// DeleteListMember removes a member.
func (db *DB) DeleteListMember(ctx context.Context, list int64, address string) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		return changeOne(ctx, q, `DELETE FROM list_member WHERE list_id = $1 AND address = $2`, list, address)
	}, func() {})
	if err != nil {
		return fmt.Errorf("delete member %q: %w", address, err)
	}
	return nil
}
