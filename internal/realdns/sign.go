package realdns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// The signatures' time, around the time of the test. Those that are too old have ended long
// enough ago: unbound forgives a tenth of the lifetime, at most a day (val-sig-skew-max).
const (
	signedBefore = 24 * time.Hour
	signedFor    = 7 * 24 * time.Hour
	expiredFor   = 3 * 24 * time.Hour
)

// build signs and breaks the zones and writes their files below dir. It returns the trust
// anchor, the DS records of the root.
func (p tools) build(ctx context.Context, dir string, zones []*zone) (anchor []string, err error) {
	for i, z := range zones {
		rrs := append(z.rrs, z.delegations()...)
		if z.Signed {
			if rrs, err = p.sign(ctx, dir, z, rrs); err != nil {
				return nil, fmt.Errorf("zone %q: %w", z.name, err)
			}
		}
		if z.broken(NotServed) {
			continue
		}
		if err := os.WriteFile(zoneFile(dir, i), []byte(text(rrs)), 0o644); err != nil {
			return nil, err
		}
		if z.name == "." {
			for _, ds := range z.ds {
				anchor = append(anchor, ds.String())
			}
		}
	}
	return anchor, nil
}

func zoneFile(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("zone%d", i)) }

// sign returns the records of a zone with keys, signatures and proofs of absence, broken as the
// zone says.
func (p tools) sign(ctx context.Context, dir string, z *zone, rrs []dns.RR) ([]dns.RR, error) {
	work, err := os.MkdirTemp(dir, "sign-")
	if err != nil {
		return nil, err
	}
	keySigning, err := p.key(ctx, work, z.name, "-k")
	if err != nil {
		return nil, err
	}
	zoneSigning, err := p.key(ctx, work, z.name)
	if err != nil {
		return nil, err
	}
	ds, err := os.ReadFile(filepath.Join(work, keySigning+".ds"))
	if err != nil {
		return nil, err
	}
	if z.ds, err = parse("$TTL 300\n"+string(ds), z.name); err != nil {
		return nil, fmt.Errorf("the DS record of its key: %w", err)
	}
	if z.broken(WrongDS) {
		if err := spoilDS(z.ds); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(work, "zone"), []byte(text(rrs)), 0o600); err != nil {
		return nil, err
	}
	keys := []string{keySigning, zoneSigning}
	now := time.Now()
	signed, err := p.signAt(ctx, work, z, keys, now.Add(-signedBefore), now.Add(signedFor))
	if err != nil {
		return nil, err
	}
	var expired []dns.RR
	if z.broken(Expired) {
		if expired, err = p.signAt(ctx, work, z, keys, now.Add(-signedFor), now.Add(-expiredFor)); err != nil {
			return nil, err
		}
	}
	for _, b := range z.Breaks {
		if signed, err = b.apply(z.name, signed, expired); err != nil {
			return nil, err
		}
	}
	return signed, nil
}

// key makes a key and returns the name of its files.
func (p tools) key(ctx context.Context, work, zone string, flags ...string) (string, error) {
	args := append([]string{"-a", "ECDSAP256SHA256", "-r", "/dev/urandom"}, flags...)
	name, err := run(ctx, work, p.keygen, append(args, zone)...)
	if err != nil {
		return "", err
	}
	name = strings.TrimSpace(name)
	if name == "" || strings.ContainsRune(name, filepath.Separator) {
		return "", fmt.Errorf("ldns-keygen names its key %q", name)
	}
	return name, nil
}

// signAt signs the file zone in the folder work for some time.
func (p tools) signAt(ctx context.Context, work string, z *zone, keys []string, from, to time.Time) ([]dns.RR, error) {
	const form = "20060102150405"
	args := []string{"-i", from.UTC().Format(form), "-e", to.UTC().Format(form), "-o", z.name, "-f", "signed"}
	if z.NSEC3 {
		args = append(args, "-n", "-t", "0")
	}
	if z.OptOut {
		args = append(args, "-p")
	}
	if _, err := run(ctx, work, p.signzone, append(append(args, "zone"), keys...)...); err != nil {
		return nil, err
	}
	signed, err := os.ReadFile(filepath.Join(work, "signed"))
	if err != nil {
		return nil, err
	}
	rrs, err := parse(string(signed), z.name)
	if err != nil {
		return nil, fmt.Errorf("what ldns-signzone wrote: %w", err)
	}
	return rrs, nil
}

// run runs a program to its end in a folder and returns what it prints.
func run(ctx context.Context, folder, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = folder
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	return string(out), nil
}
