package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// fingerprint stands for a secret in memory: a cache that holds it holds nothing that anybody could present.
type fingerprint [sha256.Size]byte

func fingerprintOf(parts ...string) fingerprint {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return fingerprint(h.Sum(nil))
}

// cache remembers answers for a while. It holds at most limit of them: whoever sends a new token with every request only makes it
// forget, never grow.
type cache[V any] struct {
	now   func() time.Time
	limit int

	mu      sync.Mutex
	entries map[fingerprint]cached[V]
}

type cached[V any] struct {
	value V
	till  time.Time
}

func newCache[V any](limit int, now func() time.Time) *cache[V] {
	return &cache[V]{now: now, limit: limit, entries: map[fingerprint]cached[V]{}}
}

func (c *cache[V]) get(key fingerprint) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || !c.now().Before(e.till) {
		var none V
		return none, false
	}
	return e.value, true
}

func (c *cache[V]) put(key fingerprint, v V, ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= c.limit {
		clear(c.entries)
	}
	c.entries[key] = cached[V]{v, c.now().Add(ttl)}
}
