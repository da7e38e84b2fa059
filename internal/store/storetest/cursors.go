package storetest

import (
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

var cursorTests = []test{
	{"a cursor nobody set is zero", func(f *fixture) {
		got, err := f.s.Cursor(f.Context(), "dsn")
		f.must(err)
		f.same("position", got, mail.ID(0))
	}},
	{"positions are found again, each under its name", func(f *fixture) {
		f.must(f.s.SetCursor(f.Context(), "one", 7))
		ahead := mail.FirstID(time.Now().Add(time.Hour)) // of a clock that was set back since
		f.must(f.s.SetCursor(f.Context(), "two", ahead))
		f.must(f.s.SetCursor(f.Context(), "one", 9))
		for range 2 {
			for name, want := range map[string]mail.ID{"one": 9, "two": ahead, "ONE": 0, "": 0} {
				got, err := f.s.Cursor(f.Context(), name)
				f.must(err)
				f.same(name, got, want)
			}
			f.reopen(f)
		}
		if id := f.s.NewID(); id <= ahead {
			f.Errorf("after a restart id %v was given, which a follower has passed at %v", id, ahead)
		}
		f.must(f.s.SetCursor(f.Context(), "one", 3)) // back is allowed: the follower knows
		got, err := f.s.Cursor(f.Context(), "one")
		f.must(err)
		f.same("moved back", got, mail.ID(3))
	}},
	{"a context that has ended moves nothing", func(f *fixture) {
		if err := f.s.SetCursor(cancelled(), "one", 7); err == nil {
			f.Fatal("a cursor was moved under a context that has ended")
		}
		got, err := f.s.Cursor(f.Context(), "one")
		f.must(err)
		f.same("position", got, mail.ID(0))
	}},
	{"a closed store keeps no cursor", func(f *fixture) {
		f.must(f.s.Close())
		f.is(f.s.SetCursor(f.Context(), "one", 7), store.ErrClosed)
	}},
}
