//go:build !unix

package smtpclient

import "net"

// Without a way to look at a socket, octets that came too early are seen only
// once they were read.
func readable(net.Conn) (data, ended bool) { return false, false }

func discard(net.Conn, int) int { return 0 }
