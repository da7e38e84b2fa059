package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// CheckFiles reads the certificates and keys that the settings name, and reports all that cannot be
// used as *Error. It is apart from Load because files change without the settings.
func (c Config) CheckFiles() error {
	var problems []Problem
	complain := func(key, path string, err error) {
		problems = append(problems, Problem{Field: key, Value: quote(path), Remedy: err.Error()})
	}
	if c.HTTP.TLS == TLSFiles {
		if err := checkKeyPair(c.HTTP.CertFile, c.HTTP.KeyFile); err != nil {
			complain("http.cert_file", c.HTTP.CertFile, err)
		}
	}
	if c.Submission.CertFile != "" {
		if err := checkKeyPair(c.Submission.CertFile, c.Submission.KeyFile); err != nil {
			complain("submission.cert_file", c.Submission.CertFile, err)
		}
	}
	if c.UsesACME() && c.ACME.CAFile != "" {
		if err := checkAuthorities(c.ACME.CAFile); err != nil {
			complain("acme.ca_file", c.ACME.CAFile, err)
		}
	}
	if c.Delivery.CAFile != "" {
		if err := checkAuthorities(c.Delivery.CAFile); err != nil {
			complain("delivery.ca_file", c.Delivery.CAFile, err)
		}
	}
	if c.Server.DataDir != "" {
		info, err := os.Stat(c.Server.DataDir)
		switch {
		case errors.Is(err, os.ErrNotExist): // sealpost init and serve create it
		case err != nil:
			complain("server.data_dir", c.Server.DataDir, err)
		case !info.IsDir():
			complain("server.data_dir", c.Server.DataDir, errors.New("is a file; name a folder"))
		}
	}
	if len(problems) > 0 {
		return &Error{problems}
	}
	return nil
}

func checkKeyPair(certFile, keyFile string) error {
	cert, err := readPEM(certFile)
	if err != nil {
		return err
	}
	key, err := readPEM(keyFile)
	if err != nil {
		return fmt.Errorf("its key: %w", err)
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return fmt.Errorf("%w; the certificate and its key (%s) must be PEM and belong together", err, keyFile)
	}
	return nil
}

func checkAuthorities(path string) error {
	data, err := readPEM(path)
	if err != nil {
		return err
	}
	count := 0
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("holds a block of type %q; it must hold certificates only", cut(block.Type))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("certificate %d: %w; write it as PEM again", count+1, err)
		}
		count++
	}
	if count == 0 || len(bytes.TrimSpace(data)) > 0 {
		return errors.New("is not PEM with certificates, or has something after them")
	}
	return nil
}

func readPEM(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w; name a file that Sealpost can read", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than 1 MiB", path)
	}
	return data, err
}
