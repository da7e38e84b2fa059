package confdb

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

var _ store.Imports = (*DB)(nil)

// keptImports is how many imports of a domain are remembered.
const keptImports = 100

const importColumns = `id, domain_id, list, file, size, state, records, bad, problems, created_at, finished_at`

// CreateImport stores a new import.
func (db *DB) CreateImport(ctx context.Context, im *store.Import) error {
	n := *im
	n.Created, n.State = now(), store.ImportRunning
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		if !db.hasDomain(n.DomainID) {
			return store.ErrNotFound
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM suppression_import WHERE domain_id = $1 AND state <> 'running' AND id <=
			(SELECT id FROM suppression_import WHERE domain_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`, n.DomainID, keptImports-1); err != nil {
			return err
		}
		return q.QueryRowContext(ctx, `INSERT INTO suppression_import (domain_id, list, file, size, state, records, bad, problems, created_at, finished_at)
			VALUES ($1, $2, $3, $4, $5, 0, 0, '[]', $6, 0) RETURNING id`,
			n.DomainID, int64(n.List), n.File, n.Size, string(n.State), n.Created.UnixMicro()).Scan(&n.ID)
	}, func() { *im = n })
	if err != nil {
		return fmt.Errorf("create import for domain %d: %w", im.DomainID, err)
	}
	return nil
}

// AdvanceImport stores how far an import is, with the entries that it found.
func (db *DB) AdvanceImport(ctx context.Context, im *store.Import, entries []store.Suppression) error {
	problems, err := json.Marshal(append([]string{}, im.Problems...))
	if err != nil {
		return fmt.Errorf("advance import %d: encode problems: %w", im.ID, err)
	}
	finished := int64(0)
	if im.State != store.ImportRunning {
		finished = im.Finished.UnixMicro()
	}
	err = db.changeSuppressions(ctx, func(ctx context.Context, q Queryer) ([]int64, error) {
		res, err := q.ExecContext(ctx, `UPDATE suppression_import SET state = $1, records = $2, bad = $3, problems = $4, finished_at = $5 WHERE id = $6 AND domain_id = $7`,
			string(im.State), im.Records, im.Bad, string(problems), finished, im.ID, im.DomainID)
		if err != nil {
			return nil, err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 || !db.hasDomain(im.DomainID) {
			if err == nil {
				err = store.ErrNotFound
			}
			return nil, err
		}
		return []int64{im.DomainID}, putSuppressions(ctx, q, im.DomainID, im.List, entries)
	})
	if err != nil {
		return fmt.Errorf("advance import %d: %w", im.ID, err)
	}
	return nil
}

// UnfinishedImports returns the imports that are running.
func (db *DB) UnfinishedImports(ctx context.Context) ([]store.Import, error) {
	return db.imports(ctx, `SELECT `+importColumns+` FROM suppression_import WHERE state = 'running' ORDER BY id`)
}

// ListImports returns the imports of a domain, latest first.
func (db *DB) ListImports(ctx context.Context, domainID int64) ([]store.Import, error) {
	return db.imports(ctx, `SELECT `+importColumns+` FROM suppression_import WHERE domain_id = $1 ORDER BY id DESC LIMIT $2`, domainID, keptImports)
}

func (db *DB) imports(ctx context.Context, query string, args ...any) ([]store.Import, error) {
	r, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read imports: %w", err)
	}
	defer r.Close()
	var list []store.Import
	for r.Next() {
		var im store.Import
		var state, problems string
		var created, finished int64
		err := r.Scan(&im.ID, &im.DomainID, &im.List, &im.File, &im.Size, &state, &im.Records, &im.Bad, &problems, &created, &finished)
		if err != nil {
			return nil, fmt.Errorf("read imports: %w", err)
		}
		if err := json.Unmarshal([]byte(problems), &im.Problems); err != nil {
			return nil, fmt.Errorf("problems of import %d: %w", im.ID, err)
		}
		im.State, im.Created = store.ImportState(state), time.UnixMicro(created).UTC()
		if finished != 0 {
			im.Finished = time.UnixMicro(finished).UTC()
		}
		list = append(list, im)
	}
	return list, r.Err()
}
