package dnstest

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/sealpost/sealpost/internal/dnssec"
)

// maxChain is how many aliases the server puts into one answer; a loop fills it.
const maxChain = 16

// servePipe answers what comes through one end of a pipe. Over udp every read is
// one datagram.
func (s *Server) servePipe(conn net.Conn, network string) {
	buf := make([]byte, 64<<10)
	for {
		n, err := readQuery(conn, network, buf)
		if err != nil {
			return
		}
		query := new(dns.Msg)
		if query.Unpack(buf[:n]) != nil || len(query.Question) != 1 {
			continue
		}
		for _, packet := range s.answer(query, network) {
			if network == "tcp" {
				packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
			}
			if _, err := conn.Write(packet); err != nil {
				return
			}
		}
	}
}

func readQuery(conn net.Conn, network string, buf []byte) (int, error) {
	if network != "tcp" {
		return conn.Read(buf)
	}
	if _, err := io.ReadFull(conn, buf[:2]); err != nil {
		return 0, err
	}
	return io.ReadFull(conn, buf[:binary.BigEndian.Uint16(buf)])
}

// answer logs a query and returns the packets to send back.
func (s *Server) answer(query *dns.Msg, network string) [][]byte {
	q := query.Question[0]
	name := strings.ToLower(q.Name)
	fault := s.receive(query, network)
	if fault.Delay > 0 && !s.wait(fault.Delay) || fault.Drop {
		return nil
	}
	m := s.respond(query, name, q.Qtype, fault)
	size := 64<<10 - 1
	cut := fault.Truncate && network == "udp" || fault.TruncTCP
	if network == "udp" {
		size = dns.MinMsgSize
		if opt := query.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
	}
	if cut || m.Len() > size {
		m.Truncated = true
		m.Answer, m.Ns = nil, nil
	}
	packet, err := m.Pack()
	if err != nil {
		return nil
	}
	switch {
	case fault.Garbage:
		// The question survives, so that the reader knows it was meant.
		packet[7] = 40 // answers that are not there
		packet = append(packet[:12], append(question(q), 0xc0, 0xff, 0x3f)...)
	case fault.WrongID:
		forged := append([]byte(nil), packet...)
		forged[0] ^= 0xff
		other := m.Copy()
		other.Question[0].Name = "other.invalid."
		otherPacket, _ := other.Pack()
		return [][]byte{forged, {1, 2, 3}, otherPacket, packet}
	}
	return [][]byte{packet}
}

// question packs one question.
func question(q dns.Question) []byte {
	buf := make([]byte, 300)
	n, err := dns.PackDomainName(q.Name, buf, 0, nil, false)
	if err != nil {
		return nil
	}
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(buf[:n], q.Qtype), q.Qclass)
}

// receive writes a query into the log and takes the fault that hits it.
func (s *Server) receive(query *dns.Msg, network string) Fault {
	q := query.Question[0]
	name := strings.ToLower(q.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := Question{
		Name: strings.TrimSuffix(name, "."), Type: dnssec.Type(q.Qtype), Network: network, AD: query.AuthenticatedData,
	}
	if opt := query.IsEdns0(); opt != nil {
		entry.DO = opt.Do()
	}
	s.log = append(s.log, entry)
	for _, k := range []key{{name, q.Qtype}, {name, 0}} {
		f, ok := s.faults[k]
		if !ok {
			continue
		}
		hit := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				delete(s.faults, k)
			}
		}
		return hit
	}
	return Fault{}
}

// wait waits, and reports false when the server closes meanwhile.
func (s *Server) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closing:
		return false
	}
}

// respond makes the response that the zones and the fault ask for.
func (s *Server) respond(query *dns.Msg, name string, typ uint16, f Fault) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(query)
	m.RecursionAvailable = !f.NoRecurse
	if query.IsEdns0() != nil {
		m.SetEdns0(1232, false)
		if f.EDE != 0 {
			opt := m.IsEdns0()
			opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: f.EDE, ExtraText: f.EDEText})
		}
	}
	switch {
	case f.NoRecurse:
	case f.RCode != 0:
		m.Rcode = f.RCode
	default:
		s.fill(m, name, typ, f)
	}
	return m
}

// fill puts the zones' answer into m, following aliases through all of them.
func (s *Server) fill(m *dns.Msg, name string, typ uint16, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.AuthenticatedData = true
	for range maxChain {
		z := s.zoneOf(name)
		if z == nil {
			m.AuthenticatedData = false
			if len(m.Answer) == 0 {
				m.Rcode = dns.RcodeRefused
			}
			return // the aliases so far: whoever asks goes on from there
		}
		secure := z.secure
		if v, ok := s.secure[name]; ok {
			secure = v
		}
		m.AuthenticatedData = m.AuthenticatedData && secure

		rrs, exists := s.records(z, name, typ)
		m.Answer = append(m.Answer, rrs...)
		if len(rrs) == 0 {
			if !exists {
				m.Rcode = dns.RcodeNameError
			}
			if !f.NoSOA {
				m.Ns = append(m.Ns, z.soa)
			}
			return
		}
		alias, ok := rrs[0].(*dns.CNAME)
		if !ok || typ == dns.TypeCNAME || f.FirstHop {
			return
		}
		name = strings.ToLower(alias.Target)
	}
}

// records returns what a sequence or the zone has at name.
func (s *Server) records(z *zone, name string, typ uint16) (rrs []dns.RR, exists bool) {
	seq, ok := s.sequences[key{name, typ}]
	if !ok || len(seq.sets) == 0 {
		return z.lookup(name, typ)
	}
	set := seq.sets[min(seq.next, len(seq.sets)-1)]
	seq.next++
	return set, true
}

// zoneOf returns the zone that is closest to name.
func (s *Server) zoneOf(name string) *zone {
	for {
		if z, ok := s.zones[name]; ok {
			return z
		}
		if name == "." {
			return nil
		}
		if _, name, _ = strings.Cut(name, "."); name == "" {
			name = "."
		}
	}
}
