package realdns

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// configuration is what the two servers are told.
type configuration struct {
	dir                 string
	authority, resolver netip.AddrPort
	zones               []*zone
	anchor              []string
	validate            bool
}

func (c configuration) write() error {
	for name, text := range map[string]string{"nsd.conf": c.nsd(), "unbound.conf": c.unbound()} {
		if err := os.WriteFile(c.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// nsd serves the zones, writes nothing down and changes no user.
func (c configuration) nsd() string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
	ip-address: %s@%d
	server-count: 1
	username: ""
	chroot: ""
	database: ""
	zonesdir: %q
	xfrdir: %q
	xfrdfile: ""
	zonelistfile: %q
	pidfile: ""
	logfile: %q
	rrl-ratelimit: 0
	rrl-whitelist-ratelimit: 0
remote-control:
	control-enable: no
`, c.authority.Addr(), c.authority.Port(), c.dir, c.dir, c.path("nsd.zones"), c.path("nsd.log"))
	for i, z := range c.zones {
		if !z.broken(Lame) { // the file of one that is not served does not exist
			fmt.Fprintf(&b, "zone:\n\tname: %q\n\tzonefile: %q\n", z.name, zoneFile(c.dir, i))
		}
	}
	return b.String()
}

// unbound is what an operator would run, as Debian ships it with "ede: yes" added, except that the root
// is ours. The stub zones are there for the port alone: a delegation cannot name one.
func (c configuration) unbound() string {
	var b strings.Builder
	modules := "validator iterator"
	if !c.validate {
		modules = "iterator"
	}
	fmt.Fprintf(&b, `server:
	interface: %s@%d
	# No packet leaves the machine, whatever a zone says.
	outgoing-interface: 127.0.0.1
	do-ip6: no
	do-not-query-localhost: no
	num-threads: 1
	outgoing-range: 256
	num-queries-per-thread: 128
	username: ""
	chroot: ""
	directory: ""
	pidfile: ""
	use-syslog: no
	logfile: ""
	verbosity: 1
	log-servfail: yes
	module-config: %q
	val-log-level: 2
	ede: yes
	# test. is reserved (RFC 6761) and would not be asked for.
	local-zone: "test." nodefault
`, c.resolver.Addr(), c.resolver.Port(), modules)
	if c.validate {
		for _, ds := range c.anchor {
			fmt.Fprintf(&b, "\ttrust-anchor: %q\n", strings.ReplaceAll(ds, "\t", " "))
		}
	}
	b.WriteString("remote-control:\n\tcontrol-enable: no\n")
	for _, z := range c.zones {
		fmt.Fprintf(&b, "stub-zone:\n\tname: %q\n\tstub-addr: %s@%d\n\tstub-prime: no\n", z.name, c.authority.Addr(), c.authority.Port())
	}
	return b.String()
}
