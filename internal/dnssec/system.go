package dnssec

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

// resolvConf is the system's resolver configuration (resolv.conf(5)). Only its
// nameserver lines concern us; there is no search list here (SEC-45).
const resolvConf = "/etc/resolv.conf"

// systemServers returns the nameservers of the file. Like the C library, it takes
// a server on this machine when there is no file or none in it.
func systemServers(path string) ([]string, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return []string{"127.0.0.1"}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the system's resolvers: %w", err)
	}
	defer f.Close()
	servers, err := parseResolvConf(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("read the system's resolvers from %s: %w", path, err)
	}
	return servers, nil
}

func parseResolvConf(r io.Reader) ([]string, error) {
	var servers []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		// A line nobody can read is passed over, as the C library does.
		if a, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, a.String())
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(servers) == 0 {
		servers = []string{"127.0.0.1"}
	}
	return servers, nil
}
