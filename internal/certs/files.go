package certs

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// recheck is how often certificate files are looked at, at most.
const recheck = 10 * time.Second

// A Files is a certificate in two files that may be replaced at any time,
// as ACME clients do. A pair that cannot be loaded leaves the old one in use.
type Files struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]fileStamp
	checked time.Time
}

type fileStamp struct {
	changed time.Time
	size    int64
}

// Load loads a certificate chain and its key from PEM files.
func Load(certFile, keyFile string, log *slog.Logger) (*Files, error) {
	c := &Files{certFile: certFile, keyFile: keyFile, log: log}
	stamp, err := c.look()
	if err != nil {
		return nil, err
	}
	if err := c.load(stamp); err != nil {
		return nil, err
	}
	c.checked = time.Now()
	return c, nil
}

// Get returns the certificate; it is for tls.Config.GetCertificate.
func (c *Files) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < recheck {
		return c.current, nil
	}
	c.checked = time.Now()
	stamp, err := c.look()
	if err == nil && stamp != c.stamp {
		if err = c.load(stamp); err == nil {
			c.log.Info("certificate reloaded", "file", c.certFile)
		}
	}
	if err != nil {
		c.log.Error("certificate not reloaded, the old one stays", "cause", err)
	}
	return c.current, nil
}

func (c *Files) look() (stamp [2]fileStamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, fmt.Errorf("look at certificate: %w", err)
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamp, nil
}

func (c *Files) load(stamp [2]fileStamp) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	c.current, c.stamp = &pair, stamp
	return nil
}
