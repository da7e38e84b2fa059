package accept

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/store"
)

// Sources chooses from which of our addresses a message may leave.
type Sources interface {
	// Sources returns them for a message of the domain; none means that any will do. ip and
	// pool are what the message asks for; empty: nothing. store.ErrNotFound if the domain may not
	// have what is asked for.
	Sources(ctx context.Context, d store.Domain, ip, pool string) ([]netip.Addr, error)
}

// chooseSources settles the addresses of the submission.
func (j *job) chooseSources(ctx context.Context) (err error) {
	ip, pool := j.opts.SendingIP, j.opts.SendingPool
	if sources := j.room.cfg.Sources; sources != nil {
		j.sources, err = sources.Sources(ctx, j.domain, ip, pool)
	} else if ip != "" || pool != "" {
		err = store.ErrNotFound
	}
	switch {
	case errors.Is(err, store.ErrNotFound) && ip != "":
		return notOurs("IP", ip)
	case errors.Is(err, store.ErrNotFound) && pool != "":
		return notOurs("IP pool", pool)
	case err != nil:
		return fmt.Errorf("choose source addresses: %w", err)
	}
	return nil
}

func notOurs(what, value string) *Error {
	return &Error{Status: 403, Code: 550, Enhanced: "5.7.1", Message: "Rejected: " + what + " " + sendopt.Printable(value) + " can't be used to send the message"}
}
