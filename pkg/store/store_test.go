package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func keys(objects []*Object) []string {
	var out []string
	for _, o := range objects {
		out = append(out, o.Key)
	}
	return out
}

func TestCommitReturnsWhatReadsReturn(t *testing.T) {
	t.Parallel()
	s := open(t)
	made := set(t, s, "/registry/pods/a/x", "app=web\n.node=n1\n")
	got, err := s.Get(within(t), "/registry/pods/a/x", ReadAt{})
	if err != nil {
		t.Fatal(err)
	}
	if got != made {
		t.Errorf("Get returned another object than Commit: %+v, %+v", got, made)
	}
	if made.Rev != s.Revision() || !made.Attrs.Labels.Has("app") || made.Attrs.Fields.Get("node") != "n1" {
		t.Errorf("object %+v at revision %d", made, s.Revision())
	}
	gone := del(t, s, "/registry/pods/a/x")
	if gone.Rev <= made.Rev || string(gone.Value) != string(made.Value) {
		t.Errorf("delete returned %+v", gone)
	}
	if again := del(t, s, "/registry/pods/a/x"); again != nil {
		t.Errorf("delete of nothing returned %+v", again)
	}
	if _, err := s.Get(within(t), "/registry/pods/a/x", ReadAt{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("after delete: %v", err)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	s := open(t)
	a := set(t, s, "/registry/a", "v=1\n")
	b := set(t, s, "/registry/b", "v=1\n")
	for name, c := range map[string]struct {
		conditions []Condition
		want       *ConflictError
	}{
		"holds":           {[]Condition{{"/registry/a", a.Rev}, {"/registry/none", 0}}, nil},
		"exists":          {[]Condition{{"/registry/b", 0}}, &ConflictError{"/registry/b", b.Rev}},
		"absent":          {[]Condition{{"/registry/none", 7}}, &ConflictError{"/registry/none", 0}},
		"other revision":  {[]Condition{{"/registry/b", a.Rev}}, &ConflictError{"/registry/b", b.Rev}},
		"second of two":   {[]Condition{{"/registry/b", b.Rev}, {"/registry/a", 1}}, &ConflictError{"/registry/a", a.Rev}},
		"without a write": {[]Condition{{"/registry/b", b.Rev}}, nil},
	} {
		before, _ := s.Newest(within(t))
		_, err := s.Commit(within(t), Txn{If: c.conditions, Put: []Put{put("/registry/new/"+name, "v=1\n")}})
		var conflict *ConflictError
		errors.As(err, &conflict)
		if diff := cmp.Diff(c.want, conflict); diff != "" || (err != nil) != (c.want != nil) {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		if c.want != nil {
			if now, err := s.Newest(within(t)); now != before || err != nil {
				t.Errorf("%s: revision went from %d to %d, %v", name, before, now, err)
			}
		}
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, k := range []string{"a/1", "a/2", "a/3", "ab/1", "b/1"} {
		set(t, s, "/registry/pods/"+k, ".node=n"+k[len(k)-1:]+"\napp="+k[:1]+"\n")
	}
	set(t, s, "/registry/podsecurity/x", "")
	isA := func(o *Object) bool { return o.Attrs.Labels.Get("app") == "a" }
	for name, c := range map[string]struct {
		prefix string
		opts   ListOptions
		want   Page
		keys   []string
	}{
		"all":           {"/registry/pods/", ListOptions{}, Page{}, []string{"a/1", "a/2", "a/3", "ab/1", "b/1"}},
		"namespace":     {"/registry/pods/a/", ListOptions{}, Page{}, []string{"a/1", "a/2", "a/3"}},
		"key":           {"/registry/pods/a/2", ListOptions{}, Page{}, []string{"a/2"}},
		"no such key":   {"/registry/pods/a", ListOptions{}, Page{}, nil},
		"limit":         {"/registry/pods/", ListOptions{Limit: 2}, Page{More: true, Remaining: 3}, []string{"a/1", "a/2"}},
		"last page":     {"/registry/pods/", ListOptions{Limit: 2, After: "/registry/pods/ab/1"}, Page{}, []string{"b/1"}},
		"exact fit":     {"/registry/pods/", ListOptions{Limit: 5}, Page{}, []string{"a/1", "a/2", "a/3", "ab/1", "b/1"}},
		"term":          {"/registry/pods/", ListOptions{Term: &Term{"node", "n1"}}, Page{}, []string{"a/1", "ab/1", "b/1"}},
		"term in ns":    {"/registry/pods/a/", ListOptions{Term: &Term{"node", "n1"}}, Page{}, []string{"a/1"}},
		"term, paged":   {"/registry/pods/", ListOptions{Term: &Term{"node", "n1"}, Limit: 1, After: "/registry/pods/a/1"}, Page{More: true, Remaining: -1}, []string{"ab/1"}},
		"match":         {"/registry/pods/", ListOptions{Match: isA, Limit: 1}, Page{More: true, Remaining: -1}, []string{"a/1"}},
		"match, paged":  {"/registry/pods/", ListOptions{Match: isA, Limit: 9, After: "/registry/pods/a/2"}, Page{}, []string{"a/3", "ab/1"}},
		"after the end": {"/registry/pods/a/", ListOptions{After: "/registry/pods/b"}, Page{}, nil},
	} {
		for i := range c.keys {
			if len(c.want.Objects) == 0 {
				c.keys[i] = "/registry/pods/" + c.keys[i]
			}
		}
		now := s.Revision()
		later := set(t, s, "/registry/other", name)
		for at, read := range map[string]ReadAt{
			"newest": {}, "any": {Kind: Any}, "not older": {Kind: NotOlderThan, Rev: now},
			"exact": {Kind: Exact, Rev: later.Rev}, "exact, from etcd": {Kind: Exact, Rev: now},
		} {
			p, err := s.List(within(t), c.prefix, read, c.opts)
			if err != nil {
				t.Errorf("%s, %s: %v", name, at, err)
				continue
			}
			if diff := cmp.Diff(c.keys, keys(p.Objects)) + cmp.Diff(c.want, *p, cmpopts.IgnoreFields(Page{}, "Objects", "Rev", "Looked", "Waited", "Past")); diff != "" {
				t.Errorf("%s, %s:\n%s", name, at, diff)
			}
		}
	}
}

// A revision that only other keys have moved is reached too, although the watch hears nothing of it.
func TestWaitReachesRevisionsOfOtherKeys(t *testing.T) {
	t.Parallel()
	s := open(t)
	for range 20 {
		resp, err := s.client.Put(within(t), "elsewhere", "x")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		p, err := s.List(within(t), "/registry/", ReadAt{}, ListOptions{})
		if err != nil || p.Rev < resp.Header.Revision {
			t.Fatalf("list at %v, %v; wrote at %d", p, err, resp.Header.Revision)
		}
		t.Logf("a write elsewhere delayed the next read by %v", time.Since(start))
	}
}

func TestFutureRevision(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Get(ctx, "/registry/a", ReadAt{Kind: Exact, Rev: 99}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("caller's deadline: %v", err)
	}
	var tooLarge *TooLargeError
	if _, err := s.Get(within(t), "/registry/a", ReadAt{Kind: NotOlderThan, Rev: 99}); !errors.As(err, &tooLarge) || tooLarge.Asked != 99 {
		t.Errorf("revision that does not come: %v", err)
	}
}
