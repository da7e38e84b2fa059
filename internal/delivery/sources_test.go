package delivery

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// A boundConn has the local address that it was opened from.
type boundConn struct {
	net.Conn
	from netip.Addr
}

func (c boundConn) LocalAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 40000))
}

// bind lets the world's deliverer connect from several addresses, and returns where it was last
// told to come from.
func (w *world) bind() *[][]netip.Addr {
	var told [][]netip.Addr
	w.d.cfg.DialFrom = func(ctx context.Context, from []netip.Addr, network, address string) (net.Conn, error) {
		told = append(told, from)
		conn, err := w.dial(ctx, network, address)
		return boundConn{conn, from[0]}, err
	}
	return &told
}

func from(j mail.Job, addrs ...string) mail.Job {
	for _, a := range addrs {
		j.Envelope.Sources = append(j.Envelope.Sources, netip.MustParseAddr(a))
	}
	return j
}

func TestLeavesFromWhereItMay(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		told := w.bind()
		w.serve("192.0.2.1", w.certFor("mx.example.test", smtptest.Valid))
		got := w.attempt(from(job(mail.Unset, mail.Unset), "203.0.113.1", "2001:db8::1", "203.0.113.2"))
		if got.Outcome != mail.Delivered || got.Session.SendingIP != "203.0.113.1" {
			t.Errorf("%s from %s", shortly(got), got.Session.SendingIP)
		}
		want := []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")}
		if len(*told) != 1 || !slices.Equal((*told)[0], want) {
			t.Errorf("told to come from %v, want once %v", *told, want)
		}
	})
}

// A connection carries no message that may not leave from where it does.
func TestConnectionsAreSharedByWhereTheyLeaveFrom(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.bind()
		w.serve("192.0.2.1", w.certFor("mx.example.test", smtptest.Valid))
		for i, c := range []struct {
			from  []string
			dials int // so far
			ip    string
		}{
			{[]string{"203.0.113.1"}, 1, "203.0.113.1"},
			{[]string{"203.0.113.1"}, 1, "203.0.113.1"},                // its own
			{[]string{"203.0.113.2"}, 2, "203.0.113.2"},                // another address
			{[]string{"203.0.113.3", "203.0.113.1"}, 2, "203.0.113.1"}, // one of two will do
			{nil, 3, ""}, // from anywhere, but not from what is set aside for others
			{nil, 3, ""}, // again
			{[]string{"203.0.113.4"}, 4, "203.0.113.4"}, // and not the other way round
		} {
			got := w.attempt(from(job(mail.Unset, mail.Unset), c.from...))
			if got.Outcome != mail.Delivered || len(w.dials) != c.dials || c.ip != "" && got.Session.SendingIP != c.ip {
				t.Errorf("message %d: %s from %s after %d connections, want %s after %d", i, shortly(got), got.Session.SendingIP, len(w.dials), c.ip, c.dials)
			}
		}
	})
}

// An address of the wrong family is not good enough, and the message says why it waits.
func TestAnotherFamilyDefers(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.bind()
		w.serve("192.0.2.1", w.certFor("mx.example.test", smtptest.Valid))
		got := w.attempt(from(job(mail.Unset, mail.Unset), "2001:db8::1"))
		if got.Outcome != mail.Deferred || got.Scope != mail.ScopeMessage || !strings.Contains(got.Reply.Text, "family") || len(w.dials) != 0 {
			t.Errorf("%s %+v after %d connections", shortly(got), got.Reply, len(w.dials))
		}
	})
	inWorld(t, "@ MX 10 mx\nmx A 192.0.2.1\nmx AAAA 2001:db8::25", func(w *world) {
		w.bind()
		w.serve("192.0.2.1", w.certFor("mx.example.test", smtptest.Valid))
		w.serve("2001:db8::25", w.certFor("mx.example.test", smtptest.Valid))
		for source, want := range map[string]string{"2001:db8::1": "2001:db8::25", "203.0.113.1": "192.0.2.1"} {
			w.dials = nil
			got := w.attempt(from(job(mail.Unset, mail.Unset), source))
			if got.Outcome != mail.Delivered || !slices.Equal(w.dials, []string{want}) {
				t.Errorf("from %s: %s by %v, want %s", source, shortly(got), w.dials, want)
			}
		}
	})
}
