package apiclient

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// SocketName is the name of the running server's socket in its data folder. The
// socket has mode 0600: who may open it is the operator and needs no key.
const SocketName = "sealpost.sock"

// maxSocketPath is the longest path that a socket address holds everywhere
// (104 octets on BSD, 108 on Linux, each with its NUL).
const maxSocketPath = 103

// Socket returns a client for the server whose socket it is, after one connection that shows
// that somebody answers. Errors wrap *Unreachable; errors.Is tells a missing socket
// (fs.ErrNotExist) and one that nobody listens on (syscall.ECONNREFUSED) apart.
func Socket(ctx context.Context, path string) (*Client, error) {
	conn, err := dialSocket(ctx, path)
	if err != nil {
		return nil, &Unreachable{Target: path, Err: err}
	}
	_ = conn.Close() // it only had to open
	t := newTransport()
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, path) }
	return newClient("http://localhost", "", path, t, nil), nil
}

// dialSocket connects. A path that is too long for a socket address is reached
// through the descriptor of its folder, which Linux shows under a short name.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	if len(path) <= maxSocketPath {
		return d.DialContext(ctx, "unix", path)
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(path)))
}
