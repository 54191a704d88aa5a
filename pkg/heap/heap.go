// Package heap decides how much garbage may lie in the heap of a process that holds a cluster's objects.
//
// # The problem
//
// Go collects garbage when the heap has grown to twice what was alive after the last time. That suits a small heap: a collection costs in
// proportion to what is alive, so rooms that grow with it keep the price per allocated byte the same. But most of what an API
// server keeps alive are the stored bytes of objects, which the collector does not even look at: 50,000 pods are 270 MiB, and on top
// of these Go would let another 270 MiB of garbage lie, to save a collection of some hundredths of a second every now and then. And what a burst of
// work has left behind stays with the process when it rests.
//
// # What is done
//
// The room for garbage is as large as what is alive only up to RoomBase; beyond it grows with an eighth of the rest:
//
//	alive        room for garbage
//	 20 MiB       20 MiB
//	 64 MiB       64 MiB
//	270 MiB       90 MiB
//	  1 GiB      184 MiB
//
// After each collection the percentage that Go works with is set to what comes to that. And when a process that has been busy has
// allocated next to nothing for a minute, it collects once more and gives what is free back to the machine.
//
// Whoever sets GOGC in the environment has decided for himself: then nothing is touched but the memory of a process at rest.
package heap

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

const (
	// RoomBase is up to which the room for garbage is as large as what is alive.
	RoomBase = 64 << 20
	// restEvery is how long a process has to be quiet to rest, and how often that is looked at.
	restEvery = time.Minute
	// quiet is how much a process allocates meanwhile that does nothing but renew its leases.
	quiet = 16 << 20
	// worthIt is how much memory there must be to give back.
	worthIt = 32 << 20
)

// percentFor is what GOGC has to be when so many bytes are alive.
func percentFor(alive uint64) int {
	if alive <= RoomBase {
		return 100
	}
	room := RoomBase + (alive-RoomBase)/8
	return int(room * 100 / alive)
}

// Tend looks after the heap of this process until ctx ends.
func Tend(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		t := &tuner{ctx: ctx}
		t.percent.Store(100)
		t.await()
	}
	go rest(ctx, time.NewTicker(restEvery))
}

// tuner sets the percentage after each collection.
type tuner struct {
	ctx     context.Context
	percent atomic.Int64
}

// await has tune called after the next collection: by the cleanup of an object that nobody holds.
func (t *tuner) await() {
	runtime.AddCleanup(new([64]byte), func(t *tuner) { t.tune() }, t)
}

// tune stops the world for some microseconds if the percentage changes, so small changes are left.
func (t *tuner) tune() {
	if t.ctx.Err() != nil {
		debug.SetGCPercent(100)
		return
	}
	const small = 3
	want := int64(percentFor(read(alive)))
	if by := want - t.percent.Load(); by > small || by < -small {
		debug.SetGCPercent(int(want))
		t.percent.Store(want)
	}
	t.await()
}

// rest gives memory back whenever the process has come to rest.
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
