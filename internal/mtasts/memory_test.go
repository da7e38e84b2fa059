package mtasts

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// A memoryStore keeps policies where a test or benchmark needs no disk.
type memoryStore struct {
	mu       sync.Mutex
	policies map[string]store.STSPolicy
}

func (s *memoryStore) LoadSTSPolicies(_ context.Context, now time.Time) (list []store.STSPolicy, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range slices.SortedFunc(maps.Values(s.policies), func(a, b store.STSPolicy) int { return a.Fetched.Compare(b.Fetched) }) {
		if p.Expires.After(now) {
			list = append(list, p)
		}
	}
	return list, nil
}

func (s *memoryStore) PutSTSPolicies(_ context.Context, list []store.STSPolicy) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.policies == nil {
		s.policies = map[string]store.STSPolicy{}
	}
	for _, p := range list {
		s.policies[p.Domain] = p
	}
	return nil
}

func (s *memoryStore) ForgetSTSPolicies(_ context.Context, domains []string, before time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range domains {
		delete(s.policies, d)
	}
	maps.DeleteFunc(s.policies, func(_ string, p store.STSPolicy) bool { return p.Expires.Before(before) })
	return nil
}
