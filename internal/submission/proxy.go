package submission

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
)

const (
	// proxyTimeout bounds the wait for the header. Proxies send it with the first segment.
	proxyTimeout = 10 * time.Second
	maxProxyLine = 107     // octets of a version 1 header
	maxProxyBody = 4 << 10 // octets of a version 2 header after its length
)

// proxySignature begins a version 2 header.
const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

var errProxy = errors.New("not a PROXY header")

// readProxyHeader reads the header with which a proxy says who comes by it (the PROXY
// protocol of HAProxy, versions 1 and 2), and not an octet more. ok is false if the
// proxy speaks for itself, as in health checks.
func readProxyHeader(r io.Reader) (addr netip.Addr, ok bool, err error) {
	head := make([]byte, len(proxySignature), maxProxyLine)
	if _, err := io.ReadFull(r, head); err != nil {
		return netip.Addr{}, false, err
	}
	if string(head) == proxySignature {
		return readProxyV2(r)
	}
	for !bytes.HasSuffix(head, []byte("\r\n")) {
		if len(head) == maxProxyLine || !bytes.HasPrefix(head, []byte("PROXY ")) {
			return netip.Addr{}, false, errProxy
		}
		head = head[:len(head)+1]
		if _, err := io.ReadFull(r, head[len(head)-1:]); err != nil {
			return netip.Addr{}, false, err
		}
	}
	return parseProxyV1(strings.TrimSuffix(string(head), "\r\n"))
}

func parseProxyV1(line string) (netip.Addr, bool, error) {
	words := strings.Split(line, " ")
	if len(words) >= 2 && words[0] == "PROXY" && words[1] == "UNKNOWN" {
		return netip.Addr{}, false, nil // what follows must be ignored
	}
	if len(words) != 6 || words[0] != "PROXY" {
		return netip.Addr{}, false, errProxy
	}
	from, err := netip.ParseAddr(words[2])
	if err != nil || from.Zone() != "" || words[1] == "TCP4" != from.Is4() || words[1] == "TCP6" != from.Is6() {
		return netip.Addr{}, false, errProxy
	}
	return from.Unmap(), true, nil
}

func readProxyV2(r io.Reader) (netip.Addr, bool, error) {
	var fixed [4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return netip.Addr{}, false, err
	}
	size := int(binary.BigEndian.Uint16(fixed[2:]))
	if size > maxProxyBody || fixed[0]>>4 != 2 || fixed[0]&0xf > 1 {
		return netip.Addr{}, false, errProxy
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return netip.Addr{}, false, err
	}
	octets := 0
	switch fixed[1] >> 4 { // family
	case 1:
		octets = 4
	case 2:
		octets = 16
	}
	switch {
	case fixed[0]&0xf == 0, octets == 0: // LOCAL; a family that is no address of ours
		return netip.Addr{}, false, nil
	case len(body) < 2*octets+4:
		return netip.Addr{}, false, errProxy
	}
	addr, _ := netip.AddrFromSlice(body[:octets])
	return addr.Unmap(), true, nil
}

// proxied reads the header of a proxy and gives the session the address of whom it is about. It
// returns what to say instead of a greeting if there is no room for that one.
func (ss *session) proxied(conn net.Conn) (refusal *reply, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(proxyTimeout)); err != nil {
		return nil, err
	}
	addr, ok, err := readProxyHeader(conn)
	if err != nil {
		return nil, err
	}
	if !ok {
		addr = ss.addr
	}
	return ss.server.rename(ss, addr), conn.SetReadDeadline(time.Time{})
}

// rename makes the address of a session another one, if there is room for one more from
// there, and returns the reply that sends it away if not (SEC-09).
func (s *Server) rename(ss *session, addr netip.Addr) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	network := networkOf(addr)
	if _, ok := s.sessions[ss]; !ok {
		return replyBusy
	}
	if s.perHost[network] >= s.cfg.MaxPerAddress {
		return replyTooManyOfYou
	}
	s.forget(ss)
	ss.addr, ss.network, ss.trusted = addr, network, within(s.cfg.Trusted, addr)
	s.sessions[ss] = struct{}{}
	s.perHost[network]++
	return nil
}
