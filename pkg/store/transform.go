package store

import (
	"context"
	"fmt"
)

// Transformer stands between the image, which holds values as they are, and etcd, which holds them as ToStorage has made them:
// encrypted, for instance. Both are called concurrently. What is read from the image is never transformed.
type Transformer interface {
	// ToStorage returns what etcd is to hold for the value of key; it may return value itself, and must not change it.
	ToStorage(ctx context.Context, key string, value []byte) ([]byte, error)
	// FromStorage undoes ToStorage. stale says that ToStorage would no longer make stored of the value as it did, so that the next
	// write is worth doing even if it changes nothing else.
	FromStorage(ctx context.Context, key string, stored []byte) (value []byte, stale bool, err error)
}

// flaw is what is not as it should be about what etcd holds for an object; hardly any has one.
type flaw struct {
	stale bool
	err   error
}

var isStale = &flaw{stale: true}

// Stale says that etcd holds the value in a form that would not be written today: by a key that was replaced since.
func (o *Object) Stale() bool { return o.flaw != nil && o.flaw.stale }

// Err says why the value could not be transformed back. Value is what etcd holds then, and Attrs are empty.
func (o *Object) Err() error {
	if o.flaw == nil {
		return nil
	}
	return o.flaw.err
}

// toStorage returns puts as etcd is to hold them.
func (s *Store) toStorage(ctx context.Context, puts []Put) ([]Put, error) {
	if s.cfg.Transform == nil {
		return puts, nil
	}
	out := make([]Put, len(puts))
	for i, p := range puts {
		stored, err := s.cfg.Transform.ToStorage(ctx, p.Key, p.Value)
		if err != nil {
			return nil, fmt.Errorf("store: unable to transform key %q: %w", p.Key, err)
		}
		out[i] = Put{Key: p.Key, Value: stored, TTL: p.TTL, JSON: p.JSON, Maker: p.Maker}
	}
	return out, nil
}

// fromStorage returns the value of what etcd holds.
func (s *Store) fromStorage(key string, stored []byte) (value []byte, stale bool, err error) {
	if s.cfg.Transform == nil {
		return stored, false, nil
	}
	return s.cfg.Transform.FromStorage(s.ctx, key, stored)
}
