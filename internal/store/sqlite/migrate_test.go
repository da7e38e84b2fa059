package sqlite

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/sealpost/sealpost/internal/store"
)

// A configuration from before there were accounts: its domain keeps its DKIM key, its keys
// what they may do, its audit log every line.
func TestConfigurationFromBeforeAccounts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := createPrivate(filepath.Join(dir, configName)); err != nil {
		t.Fatal(err)
	}
	db, err := openPool(filepath.Join(dir, configName), mode{write: true, conns: 1, cacheKB: 2000, checkpoint: 256})
	if err != nil {
		t.Fatal(err)
	}
	old(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(context.WithoutCancel(t.Context()), Options{Dir: dir, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := s.Domain(t.Context(), "one.example")
	if err != nil || d.AccountID != store.PrimaryAccount || d.AccountDisabled {
		t.Fatalf("%+v, %v", d, err)
	}
	want := store.DKIMKey{Selector: "s1", PrivatePEM: "-----BEGIN\n\"x\"\n", Public: "k=rsa; p=x", Active: true}
	if len(d.DKIM) != 1 || d.DKIM[0] != want {
		t.Errorf("DKIM keys are %+v", d.DKIM)
	}
	bare, err := s.Domain(t.Context(), "bare.example")
	if err != nil || len(bare.DKIM) != 0 {
		t.Errorf("%+v, %v", bare.DKIM, err)
	}
	keys, err := s.ListKeys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Fatalf("%+v, %v", keys, err)
	}
	if k := keys[0]; k.Role != store.RoleAdmin || k.Kind != store.KindUser || k.AccountID != store.PrimaryAccount || k.DomainID != 0 || !k.ExpiresAt.IsZero() || k.Disabled {
		t.Errorf("admin key %+v", k)
	}
	if k := keys[1]; k.Role != store.RoleSending || k.Kind != store.KindDomain || k.DomainID != d.ID {
		t.Errorf("sending key %+v", k)
	}
	if err := s.NoteChange(t.Context(), store.AuditEntry{Action: store.AuditCreate, Kind: store.AuditPool, Object: "new"}); err != nil {
		t.Fatal(err)
	}
	log, err := s.AuditLog(t.Context(), store.AuditQuery{})
	if err != nil || len(log) != 2 || log[1].ID != 7 || log[1].Object != "one.example" || log[0].ID <= 7 {
		t.Errorf("audit log %+v, %v", log, err)
	}
	if _, err := s.config.db.ExecContext(t.Context(), `DELETE FROM audit`); err == nil {
		t.Error("the audit log can be deleted")
	}
}

// old writes what a version before accounts had.
func old(t *testing.T, db *sql.DB) {
	t.Helper()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO domain (id, name, created_at, state, require_tls, skip_verification, delivery, dkim_selector, dkim_private, dkim_public, settings, checks)
			VALUES (4, 'one.example', 1, 'active', 0, 0, '{}', 's1', '-----BEGIN' || char(10) || '"x"' || char(10), 'k=rsa; p=x', '{}', '[]'),
			(5, 'bare.example', 1, 'active', 0, 0, '{}', '', '', '', '{}', '[]')`,
		`INSERT INTO api_key (id, hash, role, domain_id, description, created_at) VALUES
			('00000000000000aa', zeroblob(32), 'admin', 0, 'first', 1), ('00000000000000bb', randomblob(32), 'sending', 4, '', 2)`,
		`INSERT INTO audit (id, at, actor, action, kind, object, domain, before, after, reason, details) VALUES (7, 1, 'operator', 'create', 'domain', 'one.example', 'one.example', '', '', '', '')`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}
