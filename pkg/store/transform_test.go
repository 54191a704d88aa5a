package store

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

// marking prefixes what it writes with its mark and a number that is another each time, as ciphertexts are. It reads the mark "a" and
// its own; what has none is as it was before there were marks.
type marking struct{ mark string }

var sequence byte

func (m marking) ToStorage(_ context.Context, key string, value []byte) ([]byte, error) {
	switch {
	case strings.Contains(key, "/open/"):
		return value, nil
	case strings.Contains(key, "/never/"):
		return nil, errors.New("no key for it")
	}
	sequence++
	return append([]byte(m.mark+string(rune('A'+sequence%26))+":"), value...), nil
}

func (m marking) FromStorage(_ context.Context, _ string, stored []byte) ([]byte, bool, error) {
	mark, value, ok := bytes.Cut(stored, []byte(":"))
	switch {
	case !ok:
		return stored, true, nil
	case string(mark[:1]) == m.mark, string(mark[:1]) == "a":
		return value, string(mark[:1]) != m.mark, nil
	}
	return nil, false, errors.New("written by nobody I know")
}

func transforming(mark string) func(*Config) {
	return func(c *Config) { c.Transform = marking{mark} }
}

func TestTransformer(t *testing.T) {
	dir := t.TempDir()
	s := open(t, func(c *Config) { c.Dir = dir })
	commit(t, s, Txn{Put: []Put{put("/registry/x/old", "v=0")}})
	s.Close()

	s = open(t, func(c *Config) { c.Dir = dir }, transforming("a"))
	made := commit(t, s, Txn{Put: []Put{put("/registry/x/new", "v=1"), put("/registry/open/o", "v=2")}})
	if err := s.Wait(within(t), made[0].Rev); err != nil {
		t.Fatal(err)
	}
	holds := func(key, value, mark string, stale bool) *Object {
		t.Helper()
		o, err := s.Get(within(t), key, ReadAt{})
		if err != nil || string(o.Value) != value || o.Stale() != stale {
			t.Fatalf("%s: %+v, %v", key, o, err)
		}
		if resp, err := s.client.Get(within(t), key); err != nil || !strings.HasPrefix(string(resp.Kvs[0].Value), mark) || mark == "" && string(resp.Kvs[0].Value) != value {
			t.Fatalf("%s in etcd: %v, %v", key, resp, err)
		}
		return o
	}
	holds("/registry/x/old", "v=0", "", true)
	if o := holds("/registry/x/new", "v=1", "a", false); o != made[0] {
		t.Error("the image did not recognise the write by what etcd holds")
	}
	holds("/registry/open/o", "v=2", "", false)
	was := made[0].Rev
	commit(t, s, Txn{Put: []Put{put("/registry/x/new", "v=3")}})
	if past, err := s.Get(within(t), "/registry/x/new", ReadAt{Exact, was}); err != nil || string(past.Value) != "v=1" || past.Attrs.Labels.Get("v") != "1" {
		t.Errorf("from the past: %+v, %v", past, err)
	}
	if _, err := s.Commit(within(t), Txn{Put: []Put{put("/registry/never/x", "v=1")}}); err == nil || errors.Is(err, ErrUnknownOutcome) ||
		err.Error() != `store: unable to transform key "/registry/never/x": no key for it` {
		t.Errorf("a value that cannot be transformed: %v", err)
	}
	gone := commit(t, s, Txn{Delete: []string{"/registry/x/old"}})
	if string(gone[0].Value) != "v=0" {
		t.Errorf("deleted: %q", gone[0].Value)
	}
	s.Close()

	s = open(t, func(c *Config) { c.Dir = dir }, transforming("b"))
	if o := holds("/registry/x/new", "v=3", "a", true); o.Attrs.Labels.Get("v") != "3" {
		t.Error("labels were not read from what was transformed back")
	}
	commit(t, s, Txn{Put: []Put{put("/registry/x/new", "v=3")}})
	holds("/registry/x/new", "v=3", "b", false)
	s.Close()

	// What cannot be transformed back is kept, so that it can be found.
	s = open(t, func(c *Config) { c.Dir, c.Logger = dir, nil }, transforming("c"))
	if o, err := s.Get(within(t), "/registry/x/new", ReadAt{}); err != nil || !strings.HasPrefix(string(o.Value), "b") || len(o.Attrs.Labels) != 0 || o.Err() == nil {
		t.Errorf("unreadable: %+v, %v", o, err)
	}
}
