package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealpost/sealpost/internal/apiclient"
	"github.com/sealpost/sealpost/internal/config"
)

// stopgap ends the name of a host that does not know its own; mail needs a better one.
const stopgap = ".localdomain"

// adminListen is where the file that init writes puts health and metrics. They are
// off by default, so that several servers on one host do not fight over a port nobody chose.
const adminListen = "127.0.0.1:8081"

type initCmd struct {
	Hostname string `placeholder:"NAME" help:"Full name of this host. Without it the system's is taken."`
	DataDir  string `placeholder:"DIR" help:"Data folder. Without it: data, beside the configuration."`
}

// Run writes the configuration, makes the folder and the first key.
func (c initCmd) Run(ctx context.Context, s *session) error {
	path := s.Config
	if path == "" {
		path = "sealpost.toml"
	}
	if _, err := os.Lstat(path); err == nil {
		return usagef("%s exists already and is left alone; remove it, or name another file with -c", path)
	}
	text, cfg, err := c.compose(path, s.env.Environ)
	if err != nil {
		return &ExitError{ExitUsage, err}
	}
	if err := writeNew(path, text); err != nil {
		return &ExitError{ExitUsage, fmt.Errorf("write the configuration: %w", err)}
	}
	if err := makeDataDir(cfg.Server.DataDir); err != nil {
		return &ExitError{ExitUsage, fmt.Errorf("%s was written, but not the data folder: %w; when that is solved: sealpost key create", path, err)}
	}
	client, err := s.connectLocal(ctx, cfg)
	if err != nil {
		return fmt.Errorf("%s was written, but the first API key could not be made: %w; when that is solved: sealpost key create", path, err)
	}
	key, err := client.CreateKey(ctx, apiclient.NewKey{Role: "admin", Description: "first key, made by init"})
	if err != nil {
		return fmt.Errorf("%s was written, but the first API key could not be made: %w; when that is solved: sealpost key create", path, err)
	}
	return c.tell(s, path, cfg, key.Value.Key)
}

// compose returns the file's text for the first name of the host that can be one.
func (c initCmd) compose(path string, environ []string) (string, config.Config, error) {
	names := []string{c.Hostname}
	if c.Hostname == "" {
		system, _ := os.Hostname() // without one the stopgap remains
		names = []string{system, system + stopgap, "localhost" + stopgap}
	}
	var first error
	for _, name := range names {
		settings := config.Default()
		settings.Server.Hostname = name
		settings.HTTP.AdminListen = adminListen
		if c.DataDir != "" {
			settings.Server.DataDir = c.DataDir
		}
		text := config.Sample(settings)
		cfg, err := config.Parse(path, []byte(text), environ)
		if err == nil {
			return text, cfg, nil
		}
		if first == nil || c.Hostname == "" {
			first = err
		}
	}
	return "", config.Config{}, first
}

// writeNew writes a file that does not exist yet. It may get passwords one day, so
// nobody else reads it.
func writeNew(path, text string) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	return file.Sync()
}

// makeDataDir makes the folder, readable by its owner only (SEC-77).
func makeDataDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is a file; name a folder", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s can be read by others; run: chmod 700 %s", dir, dir)
	}
	return nil
}

// tell prints the key, this once, and what to do next.
func (c initCmd) tell(s *session, path string, cfg config.Config, key apiclient.Key) error {
	file, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if s.json() {
		return s.writeValue(struct {
			Config   string `json:"config"`
			DataDir  string `json:"data_dir"`
			Hostname string `json:"hostname"`
			KeyID    string `json:"key_id"`
			Key      string `json:"key"`
		}{file, cfg.Server.DataDir, cfg.Server.Hostname, key.ID, key.Secret})
	}
	t := &table{}
	t.add("configuration", file)
	t.add("data folder", cfg.Server.DataDir)
	t.add("host name", cfg.Server.Hostname)
	t.add("API key", key.Secret)
	if err := t.write(s.env.Stdout); err != nil {
		return err
	}
	next := []string{"", "The key is shown this once; keep it. Next:", "",
		"  sealpost serve", "  sealpost domain add example.com", "  sealpost domain verify example.com"}
	if strings.HasSuffix(cfg.Server.Hostname, stopgap) {
		next = append(next, "", "This host does not know its full name. Set server.hostname before it sends real mail.")
	}
	_, err = fmt.Fprintln(s.env.Stdout, strings.Join(next, "\n"))
	return err
}
