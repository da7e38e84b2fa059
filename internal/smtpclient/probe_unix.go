//go:build unix

package smtpclient

import (
	"errors"
	"net"
	"syscall"
)

// readable looks, without waiting or taking anything, at what the kernel holds
// for conn: octets to read, the end of the connection (or an error on it), or
// neither. Connections without a socket have neither.
func readable(conn net.Conn) (data, ended bool) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false, false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false, false
	}
	// Control, unlike Read, works whatever deadline is set.
	_ = rc.Control(func(fd uintptr) {
		var octet [1]byte
		n, _, err := syscall.Recvfrom(int(fd), octet[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == nil:
			data, ended = n > 0, n == 0
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		default:
			ended = true
		}
	})
	return data, ended
}

// discard throws away what the kernel holds for conn, up to limit octets, without
// waiting, and returns how much it was.
func discard(conn net.Conn, limit int) (n int) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	_ = rc.Control(func(fd uintptr) {
		var buf [2048]byte
		for n < limit {
			got, _, err := syscall.Recvfrom(int(fd), buf[:], syscall.MSG_DONTWAIT)
			if err != nil || got <= 0 {
				return
			}
			n += got
		}
	})
	return n
}
