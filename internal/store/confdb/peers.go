package confdb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

var _ store.Peers = (*DB)(nil)

// SeenTLS returns the MX hosts that gave TLS since the given time. Unlike the rest
// it is read from the table: it is asked for once, at start.
func (db *DB) SeenTLS(ctx context.Context, since time.Time) (map[string]time.Time, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT host, seen_at FROM peer WHERE seen_at >= $1`, since.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read peers: %w", err)
	}
	defer rows.Close()
	seen := map[string]time.Time{}
	for rows.Next() {
		var host string
		var at int64
		if err := rows.Scan(&host, &at); err != nil {
			return nil, fmt.Errorf("read peers: %w", err)
		}
		seen[host] = time.UnixMicro(at).UTC()
	}
	return seen, rows.Err()
}

// NoteTLS stores later times, and forgets hosts not seen since the given time. An
// earlier time than the stored one changes nothing.
func (db *DB) NoteTLS(ctx context.Context, seen map[string]time.Time, since time.Time) error {
	return db.change(ctx, func(ctx context.Context, q Queryer) error {
		for _, host := range slices.Sorted(maps.Keys(seen)) {
			if _, err := q.ExecContext(ctx, `INSERT INTO peer (host, seen_at) VALUES ($1, $2)
				ON CONFLICT (host) DO UPDATE SET seen_at = excluded.seen_at WHERE excluded.seen_at > peer.seen_at`,
				host, seen[host].UnixMicro()); err != nil {
				return fmt.Errorf("write peer: %w", err)
			}
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM peer WHERE seen_at < $1`, since.UnixMicro()); err != nil {
			return fmt.Errorf("forget peers: %w", err)
		}
		return nil
	}, func() {})
}
