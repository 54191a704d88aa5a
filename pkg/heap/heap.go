// Package heap decides how much garbage may lie in the heap of a process that holds a cluster's objects.
//
// # The problem
//
// Go collects garbage when the heap has grown to twice what was alive after the last time. That suits a small heap: a collection costs in
// proportion to what is alive, so rooms that grow with it keep the price per allocated byte the same. But most of what an API
// server keeps alive are the stored bytes of objects: 50,000 pods are 270 MiB, and on top
// of these Go lets another 270 MiB of garbage lie, long after the work that left it there. Who is given little room all the time pays for
// it under load: with a third of that room, collections take a sixth of all that creates of pods cost.
//
// # What is done
//
// A process has two rooms for garbage, one for when it works and one for when it rests, and both stop growing with what is alive:
//
//	alive        at rest     at work
//	 20 MiB       20 MiB      64 MiB
//	 64 MiB       64 MiB      64 MiB
//	256 MiB       88 MiB     256 MiB
//	  1 GiB      184 MiB     352 MiB
//
// It is at work when collections follow each other within Often. After each collection the percentage that Go works with is set to
// what comes to that room. And when a process has allocated next to nothing for some seconds it is at rest: it collects once more and
// gives what is free back to the machine.
//
// Whoever sets GOGC in the environment has decided for himself: then nothing is touched but the memory of a process at rest.
package heap

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// AtRest and AtWork are up to which the room for garbage is as large as what is alive. Beyond them it grows with an eighth of the rest.
	AtRest, AtWork = 64 << 20, 256 << 20
	// Often is how soon after each other collections come in a process that is at work.
	Often = time.Second

	// restEvery is how long a process has to be quiet to rest, and how often that is looked at.
	restEvery = 3 * time.Second
	// quiet is how much a process allocates meanwhile that does nothing but renew its leases.
	quiet = 4 << 20
	// worthIt is how much memory there must be to give back.
	worthIt = 32 << 20
)

// percentFor is what GOGC has to be when so many bytes are alive.
func percentFor(alive uint64, working bool) int {
	alive = max(alive, 4<<20) // Go never collects for less
	base := uint64(AtRest)
	if working {
		base = AtWork
	}
	room := alive
	switch {
	case alive > base:
		room = base + (alive-base)/8
	case working:
		room = max(alive, AtRest)
	}
	return int(room * 100 / alive)
}

// Tend looks after the heap of this process until ctx ends.
func Tend(ctx context.Context) {
	t := &tuner{ctx: ctx, percent: 100}
	if os.Getenv("GOGC") == "" {
		t.await()
	}
	go rest(ctx, time.NewTicker(restEvery))
}

// tuner sets the percentage after each collection. Cleanups run one after the other, so its fields are those of one goroutine.
type tuner struct {
	ctx     context.Context
	percent int       // what Go was last told
	last    time.Time // a collection ended
}

// await has collected called after each collection: by the cleanup of an object that nobody holds.
func (t *tuner) await() {
	runtime.AddCleanup(new([64]byte), func(t *tuner) {
		if t.ctx.Err() != nil {
			debug.SetGCPercent(100)
			return
		}
		t.collected(time.Now())
		t.await()
	}, t)
}

// collected is told of the end of a collection. To tell Go another percentage stops the world for some microseconds, so small changes
// are left.
func (t *tuner) collected(now time.Time) {
	const small = 3
	want := percentFor(read(alive), now.Sub(t.last) < Often)
	t.last = now
	if by := want - t.percent; by > small || by < -small {
		debug.SetGCPercent(want)
		t.percent = want
	}
}

// rest gives memory back whenever the process has come to rest. That is a collection too: the first for long, so that the room is that
// of a process at rest afterwards.
func rest(ctx context.Context, tick *time.Ticker) {
	defer tick.Stop()
	last := usage{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := usage{allocated: read(allocated), idle: read(free) + read(objects) - min(read(objects), read(alive))}
		if now.resting(last) {
			debug.FreeOSMemory()
		}
		last = now
	}
}

// usage is what a process has allocated in all, and how many bytes it holds for nothing: garbage, and what is free.
type usage struct{ allocated, idle uint64 }

// resting tells whether a process that did last until now is to give back what it holds for nothing.
func (u usage) resting(last usage) bool {
	return u.allocated-last.allocated < quiet && u.idle >= worthIt
}

// The runtime's names of what is read here, in bytes.
const (
	alive     = "/gc/heap/live:bytes"
	allocated = "/gc/heap/allocs:bytes"
	objects   = "/memory/classes/heap/objects:bytes"
	free      = "/memory/classes/heap/free:bytes"
)

func read(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
