package webhook

import "sync"

// slots are the connections of the room. Targets that find none wait in line.
type slots struct {
	mu      sync.Mutex
	free    int
	waiting []*target
}

// take takes a slot. Without one, the target is put in line; its hungry field says that it is.
func (s *slots) take(t *target) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return true
	}
	if !t.hungry {
		t.hungry = true
		s.waiting = append(s.waiting, t)
	}
	return false
}

// give gives a slot back.
func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
}

// first returns who is first in line, out of the line, while there is a slot; else nil.
func (s *slots) first() *target {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == 0 || len(s.waiting) == 0 {
		return nil
	}
	t := s.waiting[0]
	s.waiting[0] = nil
	s.waiting = s.waiting[1:]
	return t
}
