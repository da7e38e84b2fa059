package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/lab"
	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// labMark is a file in a data folder that says whose it is. A lab uses no folder
// without it, and a real server none with it, so that neither can be mistaken for
// the other.
const labMark = "LAB"

// LabOptions are the choices for a server with the lab.
type LabOptions struct {
	Dir     string // data folder; created if it does not exist
	Listen  string // address of the API; must be on loopback
	Version string
	Stdout  io.Writer // where the key, the URLs and the line to paste are printed
	Log     io.Writer
}

// RunLab serves with the lab beside the server until ctx ends. Everything listens
// on loopback only.
func RunLab(ctx context.Context, o LabOptions) error {
	cfg, err := labConfig(o)
	if err != nil {
		return &StartError{err}
	}
	l, err := lab.Start()
	if err != nil {
		return &StartError{err}
	}
	defer l.Close()
	opts := Options{Version: o.Version, Log: o.Log, HandshakeTimeout: lab.HandshakeTime, lab: l}
	a, err := build(ctx, cfg, opts)
	if err != nil {
		return err
	}
	key, err := a.prepareLab(ctx)
	if err != nil {
		return errors.Join(err, a.store.Close())
	}
	ls, err := a.listen()
	if err != nil {
		return errors.Join(err, a.store.Close())
	}
	a.opts.Ready = func(at Addresses) { welcome(o.Stdout, at.API.String(), key, l) }
	return a.run(ctx, ls)
}

// labConfig returns the lab's settings and makes sure of its folder.
func labConfig(o LabOptions) (config.Config, error) {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return config.Config{}, fmt.Errorf("the lab's address %q: %w", o.Listen, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return config.Config{}, fmt.Errorf("the lab listens on loopback only, and %q is not: use 127.0.0.1", host)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return config.Config{}, err
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return config.Config{}, fmt.Errorf("read the lab's folder: %w", err)
	case len(entries) > 0 && !isLab(dir):
		return config.Config{}, fmt.Errorf("%s is not a lab's folder: give another one with --dir", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return config.Config{}, fmt.Errorf("create the lab's folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, labMark), []byte("The data of a lab. Nothing in it is real mail.\n"), 0o600); err != nil {
		return config.Config{}, fmt.Errorf("mark the lab's folder: %w", err)
	}
	cfg := config.Default()
	cfg.Server.Hostname = "mail." + lab.SendingDomain
	cfg.Server.DataDir = dir
	cfg.HTTP.Listen, cfg.HTTP.AdminListen = o.Listen, ""
	return cfg, nil
}

func isLab(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, labMark))
	return err == nil
}

// prepareLab makes the sending domain and a fresh key. Keys of earlier starts, which
// nobody can read again, are forgotten.
func (a *app) prepareLab(ctx context.Context) (key string, err error) {
	if err := a.ensureLabDomain(ctx); err != nil {
		return "", fmt.Errorf("create the lab's domain: %w", err)
	}
	old, err := a.store.ListKeys(ctx)
	if err != nil {
		return "", err
	}
	for _, k := range old {
		if err := a.store.DeleteKey(ctx, k.ID); err != nil {
			return "", err
		}
	}
	key = "lab-" + strings.ToLower(rand.Text())
	k := store.Key{Hash: sha256.Sum256([]byte(key)), Role: store.RoleAdmin, Description: "lab"}
	if err := a.store.CreateKey(ctx, &k); err != nil {
		return "", fmt.Errorf("create the lab's key: %w", err)
	}
	return key, nil
}

func (a *app) ensureLabDomain(ctx context.Context) error {
	if _, err := a.store.Domain(ctx, lab.SendingDomain); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	signer, err := signing.GenerateRSA()
	if err != nil {
		return err
	}
	private, err := signer.PEM()
	if err != nil {
		return err
	}
	public, err := signer.TXT()
	if err != nil {
		return err
	}
	return a.store.CreateDomain(ctx, &store.Domain{
		Name: lab.SendingDomain, State: store.DomainActive,
		DKIM: []store.DKIMKey{{Selector: "lab", PrivatePEM: string(private), Public: public, Active: true}},
	})
}

// welcome prints what a newcomer needs for the first two minutes.
func welcome(w io.Writer, api, key string, l *lab.Lab) {
	var b strings.Builder
	fmt.Fprintf(&b, "\nSealpost is running, with a lab beside it.\n\n")
	fmt.Fprintf(&b, "  API      http://%s\n", api)
	fmt.Fprintf(&b, "  API key  %s   (shown once; the next start makes a new one)\n", key)
	fmt.Fprintf(&b, "  Domain   %s\n\n", lab.SendingDomain)
	fmt.Fprintf(&b, "Receivers, each at anyone@<name>.%s:\n\n", lab.Suffix)
	for _, r := range l.Receivers() {
		fmt.Fprintf(&b, "  %-17s %s\n", r.Name, r.About)
	}
	fmt.Fprintf(&b, "\nPaste this into another terminal. It sends one message that must travel over verified TLS to two\n")
	fmt.Fprintf(&b, "receivers, one that can and one that cannot, and then reads the log:\n\n")
	url := fmt.Sprintf("http://%s/v3/%s", api, lab.SendingDomain)
	fmt.Fprintf(&b, "  curl -s --user api:%s %s/messages -F from=me@%s -F to=anyone@valid.%s -F to=anyone@no-starttls.%s -F subject=Hello -F text='It works' -F o:require-tls=yes && sleep 1 && curl -s --user api:%s %s/events\n\n",
		key, url, lab.SendingDomain, lab.Suffix, lab.Suffix, key, url)
	fmt.Fprintf(&b, "All flag pairs against all receivers, with what each of them saw:  ./bin/sealpost lab\n")
	fmt.Fprintf(&b, "The log as it grows:  ./bin/sealpost lab events\n\n")
	_, _ = io.WriteString(w, b.String())
}
