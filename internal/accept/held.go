package accept

import (
	"sync"

	"github.com/sealpost/sealpost/internal/mail"
)

// held are the spools of the messages of one submission, until each is handed
// over or the submission failed.
type held struct {
	mu     sync.Mutex
	spools map[mail.ID]*spool
}

func newHeld() *held { return &held{spools: map[mail.ID]*spool{}} }

func (h *held) add(id mail.ID, s *spool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spools[id] = s
}

// take hands one out, to be closed by the caller; nil if it is not there.
func (h *held) take(id mail.ID) *spool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.spools[id]
	delete(h.spools, id)
	return s
}

// abandon closes those that nobody took.
func (h *held) abandon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.spools {
		s.Close()
	}
	clear(h.spools)
}
