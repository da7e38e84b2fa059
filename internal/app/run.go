package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/netguard"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/submission"
)

// DrainTime is how long a shutdown waits for requests being read and for replies to
// messages already sent, before it cuts them off.
const DrainTime = 30 * time.Second

// pruneEvery is the time between looks for contents and events past their retention.
const pruneEvery = time.Hour

// Run serves until ctx ends, then drains and returns nil. Problems that a person
// must solve come as *[StartError].
func Run(ctx context.Context, cfg config.Config, opts Options) error {
	a, err := build(ctx, cfg, opts)
	if err != nil {
		return err
	}
	ls, err := a.listen()
	if err != nil {
		return errors.Join(err, a.store.Close())
	}
	return a.run(ctx, ls)
}

// listeners are the open sockets; those not configured are nil.
type listeners struct {
	api, admin, operator, acme net.Listener
	starttls, implicit         []net.Listener
}

// all returns the listeners that are open.
func (ls *listeners) all() []net.Listener {
	var open []net.Listener
	for _, l := range slices.Concat([]net.Listener{ls.api, ls.admin, ls.operator, ls.acme}, ls.starttls, ls.implicit) {
		if l != nil {
			open = append(open, l)
		}
	}
	return open
}

// addresses returns where the listeners listen.
func (ls *listeners) addresses() Addresses {
	at := func(l net.Listener) net.Addr {
		if l == nil {
			return nil
		}
		return l.Addr()
	}
	first := func(list []net.Listener) net.Addr {
		if len(list) == 0 {
			return nil
		}
		return list[0].Addr()
	}
	return Addresses{API: at(ls.api), Admin: at(ls.admin), Submission: first(ls.starttls), SubmissionTLS: first(ls.implicit), ACME: at(ls.acme)}
}

// listen opens every socket, or none.
func (a *app) listen() (_ *listeners, err error) {
	ls := &listeners{}
	defer func() {
		if err != nil {
			for _, l := range ls.all() {
				_ = l.Close()
			}
		}
	}()
	open := func(setting, address string) net.Listener {
		if err != nil || address == "" {
			return nil
		}
		l, e := net.Listen("tcp", address)
		if e != nil {
			err = &StartError{fmt.Errorf("%s: %w: choose another address or stop what uses it", setting, e)}
			return nil // and not a nil of a type
		}
		return l
	}
	ls.api = open("http.listen", a.cfg.HTTP.Listen)
	ls.admin = open("http.admin_listen", a.cfg.HTTP.AdminListen)
	if a.cfg.UsesACME() {
		ls.acme = open("acme.listen", a.cfg.ACME.Listen)
	}
	for _, address := range a.cfg.Submission.Listen {
		ls.starttls = append(ls.starttls, open("submission.listen", address))
	}
	for _, address := range a.cfg.Submission.ListenTLS {
		ls.implicit = append(ls.implicit, open("submission.listen_tls", address))
	}
	if err != nil {
		return nil, err
	}
	if err := a.buildManager(ls); err != nil {
		return nil, err
	}
	ls.api = a.secured(ls.api)
	if ls.operator, err = a.listenForOperator(); err != nil {
		return nil, &StartError{err}
	}
	return ls, a.guardAgainst(ls)
}

// maxSocketPath is what every Unix allows in the name of a socket.
const maxSocketPath = 100

// listenForOperator opens the socket for commands. A data folder whose path is too
// long for one has none: commands then need --url and a key.
func (a *app) listenForOperator() (net.Listener, error) {
	path := SocketPath(a.cfg.Server.DataDir)
	if len(path) > maxSocketPath {
		a.log.Warn("the path of the data folder is too long for a socket: commands need --url and a key", "path", path)
		return nil, nil
	}
	// The lock on the folder is ours, so a socket that is there belongs to nobody.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("protect %s: %w", path, err)
	}
	return l, nil
}

// guardAgainst makes our own listeners forbidden destinations (SEC-41).
func (a *app) guardAgainst(ls *listeners) error {
	var own []netip.AddrPort
	for _, l := range ls.all() {
		if t, ok := l.Addr().(*net.TCPAddr); ok {
			own = append(own, t.AddrPort())
		}
	}
	all, err := netguard.Listening(own...)
	if err != nil {
		return err
	}
	a.guard.policy = netguard.Policy{AllowPrivate: a.cfg.Delivery.AllowPrivateMX, Own: all}
	return nil
}

// run serves and drains.
func (a *app) run(ctx context.Context, ls *listeners) error {
	// What was begun is finished on a context of its own.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	var services sync.WaitGroup
	serve := func(name string, f func() error) {
		services.Go(func() {
			if err := f(); err != nil {
				stop(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	servers := a.httpServers(ls)
	for l, s := range servers {
		serve("serve HTTP", func() error { return ignoreClosed(s.Serve(l)) })
	}
	a.serveSubmission(work, ls, serve)
	a.serveAuthority(ctx, ls, serve)
	serve("queue", func() error { return a.queue.Run(work) })
	services.Go(func() { a.peers.Run(ctx) })
	serve("MTA-STS", func() error { return a.sts.Run(ctx) })
	services.Go(func() { a.reports.Run(ctx, a.accept) })
	services.Go(func() { a.watchResolver(ctx) })
	services.Go(func() { a.notices.Run(ctx) }) // ends with the doors: it is one
	services.Go(func() { a.prune(ctx) })
	services.Go(func() { a.keepExceptions(ctx) })
	services.Go(func() { a.impact.Watch(ctx, a.store, a.log) })
	services.Go(func() { a.evidence.Run(work) })
	for _, r := range a.rooms {
		services.Go(func() { r.Run(ctx) })
	}
	services.Go(func() {
		select {
		case <-a.store.Failed():
			stop(fmt.Errorf("storage failed: %w", a.store.Err()))
		case <-ctx.Done():
		}
	})
	a.log.Info("ready", "api", ls.api.Addr().String(), "data", a.cfg.Server.DataDir, "version", a.opts.Version)
	if a.opts.Ready != nil {
		a.opts.Ready(ls.addresses())
	}

	<-ctx.Done()
	a.log.Info("draining", "limit", DrainTime.String())
	err := a.drain(servers, stopWork)
	services.Wait()
	a.deliverer.Close()
	a.drainEvidence()
	a.uses.Flush(context.Background()) // the doors counted until they were shut
	// Nobody asks for policies or observes any more, so this is the rest of both.
	err = errors.Join(err, a.sts.Close(), a.reports.Close(context.Background()), a.store.Close())
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	a.log.Info("stopped")
	return err
}

// drain shuts the rooms in the order of the walk: doors, then queue. What is still
// running when the time is up is cut: its messages stay queued.
func (a *app) drain(servers map[net.Listener]*http.Server, stopWork func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), DrainTime)
	defer cancel()
	var doors sync.WaitGroup
	for _, s := range servers {
		doors.Go(func() {
			if s.Shutdown(ctx) != nil {
				_ = s.Close()
			}
		})
	}
	if a.submission != nil {
		doors.Go(func() { _ = a.submission.Shutdown(ctx) })
	}
	var err error
	doors.Go(func() { err = a.queue.Shutdown(ctx) })
	doors.Wait()
	stopWork()
	if err != nil {
		a.log.Warn("attempts were cut off at the end of the drain time; their messages stay queued", "error", err)
	}
	return nil
}

// evidenceTime is how long a shutdown waits for the evidence of the last deliveries.
// What is missing then is derived from the events at the next start.
const evidenceTime = 10 * time.Second

// drainEvidence records and signs what the queue did last.
func (a *app) drainEvidence() {
	ctx, cancel := context.WithTimeout(context.Background(), evidenceTime)
	defer cancel()
	if err := a.evidence.Drain(ctx); err != nil && a.store.Err() == nil {
		a.log.Warn("the evidence of the last deliveries was not signed; the next start does it", "error", err)
	}
}

// httpServers returns the HTTP servers by their listener.
func (a *app) httpServers(ls *listeners) map[net.Listener]*http.Server {
	servers := map[net.Listener]*http.Server{
		ls.api: door.NewServer(a.api.Handler(), a.log),
	}
	if ls.operator != nil {
		servers[ls.operator] = door.NewServer(a.withLab(a.api.TrustedHandler()), a.log)
	}
	if ls.admin != nil {
		servers[ls.admin] = door.NewServer(a.adminHandler(), a.log)
	}
	return servers
}

func (a *app) serveSubmission(ctx context.Context, ls *listeners, serve func(string, func() error)) {
	for i, l := range slices.Concat(ls.starttls, ls.implicit) {
		serve("serve submission", func() error {
			if err := a.submission.Serve(ctx, l, i >= len(ls.starttls)); !errors.Is(err, submission.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// prune drops what is past its retention, now and then. Events stay until their
// evidence is signed and their senders are notified, whatever the retention says.
func (a *app) prune(ctx context.Context) {
	r := a.cfg.Retention
	tick := time.NewTicker(pruneInterval(r))
	defer tick.Stop()
	for {
		now := time.Now()
		if err := a.store.Prune(ctx, retentionAt(now, r, a.consumed()...)); err != nil && ctx.Err() == nil {
			a.log.Error("old data was not dropped", "error", err)
		}
		if err := a.evidence.Prune(ctx, now.Add(-max(r.Evidence, r.Events))); err != nil && ctx.Err() == nil {
			a.log.Error("old evidence was not dropped", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// consumed returns how far each reader of the event log has come.
func (a *app) consumed() []time.Time {
	list := []time.Time{a.evidence.Consumed(), a.notices.Consumed()}
	for _, f := range a.followers {
		list = append(list, f.Consumed())
	}
	return list
}

// retentionAt returns what may be forgotten now. Each of consumed is how far a reader of
// the event log has come; younger events are still needed, however old they are.
func retentionAt(now time.Time, r config.Retention, consumed ...time.Time) store.Retention {
	events := now.Add(-r.Events)
	for _, c := range consumed {
		if c.Before(events) {
			events = c
		}
	}
	return store.Retention{Content: now.Add(-r.Content), Events: events}
}

// pruneInterval is the time between looks: content that is not to be kept goes within a
// minute after its message is finished.
func pruneInterval(r config.Retention) time.Duration {
	return min(pruneEvery, max(r.Content, time.Minute))
}
