package store

import (
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
