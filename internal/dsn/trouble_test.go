package dsn

import (
	"context"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/mail"
)

// A choosyDoor answers with an error to the notices for some people.
type choosyDoor struct {
	Acceptor
	against map[string]error // by local part
	calls   map[string]int
}

func (d *choosyDoor) Accept(ctx context.Context, s accept.Submission) (accept.Receipt, error) {
	local := s.Recipients[0].Local
	d.calls[local]++
	if err := d.against[local]; err != nil {
		return accept.Receipt{}, err
	}
	return d.Acceptor.Accept(ctx, s)
}

// from is a submission by somebody of the sending domain.
func from(local, to string) accept.Submission {
	s := submission(to)
	s.ReversePath = mail.Address{Local: local, Domain: sending}
	return s
}

// Notices that the room cannot take for a reason of their own are tried a few times, each
// counts once, and they hold up nobody else's: not by one round, however many they are.
func TestNoticesThatAreNeverTakenDoNotStopTheOthers(t *testing.T) {
	r := newRig(t)
	broken := &accept.Error{Status: 500, Code: 451, Enhanced: "4.3.0", Message: "Internal Server Error, incident 1"}
	refused := &accept.Error{Status: 403, Code: 550, Message: "Domain is disabled"}
	door := &choosyDoor{Acceptor: r.room, calls: map[string]int{}, against: map[string]error{"p1": broken, "p2": broken, "p3": broken, "no": refused}}
	f := r.follower(func(roles *Roles) { roles.Door = door })
	r.catchUp(f)
	for _, local := range []string{"no", "p1", "p2", "bob", "p3", "eve"} {
		r.accept(from(local, "ann@one.test"))
	}
	r.settle("one.test", 550, "no such user")
	if _, err := f.step(t.Context()); err == nil {
		t.Error("trouble was taken for an answer")
	}
	if n := r.pending(); n != 2 {
		t.Errorf("%d notices after the first round, want 2", n)
	}
	rounds := 1
	for ; rounds < 100; rounds++ {
		if more, err := f.step(t.Context()); err == nil && !more {
			break
		}
	}
	if rounds != maxTries {
		t.Errorf("it took %d rounds, want %d", rounds, maxTries)
	}
	for _, local := range []string{"p1", "p2", "p3"} {
		if door.calls[local] != maxTries {
			t.Errorf("%s was tried %d times", local, door.calls[local])
		}
	}
	if door.calls["bob"] != 1 || door.calls["eve"] != 1 || door.calls["no"] != 1 {
		t.Errorf("calls %v", door.calls)
	}
	if got := f.Stats(); got != (Stats{Notified: 2, Unnotified: 4}) {
		t.Errorf("stats %+v", got)
	}
	if n := strings.Count(r.logged(), "sender left without notice"); n != 4 {
		t.Errorf("%d lines about senders without notice, want 4", n)
	}
	if len(f.tries) != 0 {
		t.Errorf("%d tries are remembered for ever", len(f.tries))
	}
}

// A room that is full or shut is not the notice's fault: it waits, however long.
func TestNoticesWaitForARoomThatTakesNothing(t *testing.T) {
	for _, status := range []int{503, 507} {
		r := newRig(t)
		door := &moodyDoor{Acceptor: r.room}
		f := r.follower(func(roles *Roles) { roles.Door = door })
		r.catchUp(f)
		r.accept(submission("ann@one.test"))
		r.settle("one.test", 550, "no such user")
		door.mood(&accept.Error{Status: status, Code: 452, Message: "later"})
		for range 3 * maxTries {
			if _, err := f.step(t.Context()); err == nil {
				t.Fatalf("%d was taken for an answer", status)
			}
		}
		door.mood(nil)
		r.catchUp(f)
		if got := f.Stats(); got != (Stats{Notified: 1}) {
			t.Errorf("%d: stats %+v", status, got)
		}
	}
}
