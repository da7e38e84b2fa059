package delivery

import (
	"slices"
	"sync"
	"time"
)

// A pool keeps connections that finished a message, by MX host. A connection
// carries the facts that it was opened on; a message may use it only if the
// decision, given these facts, would have led to the same kind of session
// (tls-policy: never by domain or site alone). It is safe for concurrent use.
type pool struct {
	idle    time.Duration // negative keeps nothing
	perConn int

	mu     sync.Mutex
	closed bool
	links  map[string][]*link // by host, oldest first
}

// maxIdle bounds the idle connections to one host.
const maxIdle = 20

func newPool(idle time.Duration, perConn int) *pool {
	return &pool{idle: idle, perConn: perConn, links: make(map[string][]*link)}
}

// take returns an idle connection to host that serves, the one used last, or nil.
// serves is called with the pool locked.
func (p *pool) take(host string, serves func(*link) bool) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.links[host]
	for i := len(list) - 1; i >= 0; i-- {
		l := list[i]
		if !serves(l) {
			continue
		}
		if !l.expiry.Stop() {
			continue // its time is up; the timer's function removes it
		}
		p.links[host] = slices.Delete(list, i, i+1)
		return l
	}
	return nil
}

// put offers a connection for the next message. The pool quits it when it was
// used enough, or when nobody takes it in time.
func (p *pool) put(l *link) {
	p.mu.Lock()
	keep := !p.closed && p.idle > 0 && l.client.Usable() && l.messages < p.perConn && len(p.links[l.host]) < maxIdle
	if keep {
		l.expiry = time.AfterFunc(p.idle, func() { p.expire(l) })
		p.links[l.host] = append(p.links[l.host], l)
	}
	p.mu.Unlock()
	if !keep {
		l.quit()
	}
}

// expire removes a connection that nobody took.
func (p *pool) expire(l *link) {
	p.mu.Lock()
	list := p.links[l.host]
	if i := slices.Index(list, l); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		delete(p.links, l.host)
	} else {
		p.links[l.host] = list
	}
	p.mu.Unlock()
	l.quit()
}

// close quits all idle connections; put keeps none from then on.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	var idle []*link
	for _, list := range p.links {
		for _, l := range list {
			if l.expiry.Stop() {
				idle = append(idle, l)
			}
		}
	}
	p.links = make(map[string][]*link)
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, l := range idle {
		wg.Go(l.quit)
	}
	wg.Wait()
}
