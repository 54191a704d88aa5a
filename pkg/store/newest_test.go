package store

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A caller shares a read that begins after it came, never one that is under way.
func TestSharedReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared
		reads := int64(0)
		read := func() (int64, error) {
			reads++
			n := reads
			time.Sleep(time.Second)
			return n, nil
		}
		ask := func(want int64) {
			r, start := s.join()
			if start {
				go s.run(read)
			}
			go func() {
				<-r.done
				if r.rev != want {
					t.Errorf("got read %d, want %d", r.rev, want)
				}
			}()
			synctest.Wait()
		}
		ask(1)
		ask(2) // while the first is under way
		ask(2)
		time.Sleep(3 * time.Second / 2)
		ask(3) // while the second is
		time.Sleep(10 * time.Second)
		ask(4) // when none is
		time.Sleep(10 * time.Second)
		if reads != 4 {
			t.Errorf("%d reads", reads)
		}
	})
}

// Who asks for the same page again and again keeps it no longer than everybody else could have it.
func TestKeptSnapshotsEndWithCompaction(t *testing.T) {
	t.Parallel()
	s := open(t)
	set(t, s, "/registry/a", "v=1\n")
	made := set(t, s, "/registry/b", "v=1\n")
	page := func() (*Page, error) {
		return s.List(within(t), "/registry/", ReadAt{Exact, made.Rev}, ListOptions{Limit: 1})
	}
	if p, err := page(); err != nil || !p.More {
		t.Fatalf("the first page: %+v, %v", p, err)
	}
	pinned := s.kept.get(made.Rev, time.Now())
	newer := set(t, s, "/registry/c", "v=1\n")
	if p, err := page(); err != nil || p.Rev != made.Rev {
		t.Fatalf("the same page, later: %+v, %v", p, err)
	}
	if err := s.Compact(within(t), newer.Rev); err != nil {
		t.Fatal(err)
	}
	if _, err := page(); !errors.Is(err, ErrTooOld) {
		t.Errorf("after the compaction: %v", err)
	}
	s.kept.put(pinned, time.Now()) // by a read that began before
	if _, err := page(); !errors.Is(err, ErrTooOld) {
		t.Errorf("after a late reader: %v", err)
	}
}

// Snapshots for further pages are dropped when nobody has come for a minute, and when there are too many.
func TestKeptSnapshotsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k kept
		defer k.close()
		for rev := range int64(keptMax + 1) {
			k.put(&snapshot{rev: rev}, time.Now())
		}
		if k.get(0, time.Now()) != nil || k.get(1, time.Now()) == nil {
			t.Error("it is not the oldest that had to go")
		}
		time.Sleep(keptIdle * 2 / 3)
		if k.get(2, time.Now()) == nil {
			t.Error("gone too early")
		}
		time.Sleep(keptIdle * 2 / 3)
		if k.get(2, time.Now()) == nil || k.get(keptMax, time.Now()) != nil {
			t.Error("it is not the one used last that is left")
		}
		time.Sleep(2 * keptIdle)
		if k.get(2, time.Now()) != nil {
			t.Error("kept for ever")
		}
	})
}
