package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPercentFor(t *testing.T) {
	for alive, percent := range map[uint64]struct{ rest, work int }{
		0: {100, 1600}, 20 << 20: {100, 320}, 64 << 20: {100, 100}, 96 << 20: {70, 100}, 256 << 20: {34, 100}, 1 << 30: {17, 34}, 64 << 30: {12, 12},
	} {
		require.Equal(t, percent.rest, percentFor(alive, false), "at rest with %d MiB", alive>>20)
		require.Equal(t, percent.work, percentFor(alive, true), "at work with %d MiB", alive>>20)
	}
}

// More that is alive never means less room, but for what rounding takes; nor does work.
func TestRoomGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Uint64Range(1<<20, 1<<40).Draw(t, "a")
		b := rapid.Uint64Range(a, 1<<40).Draw(t, "b")
		room := func(alive uint64, working bool) uint64 { return alive * uint64(percentFor(alive, working)) / 100 }
		for _, working := range []bool{false, true} {
			if room(b, working)+b/100 < room(a, working) {
				t.Fatalf("room of %d: %d, of %d: %d", a, room(a, working), b, room(b, working))
			}
		}
		if room(a, true) < room(a, false) {
			t.Fatalf("room of %d at work: %d, at rest: %d", a, room(a, true), room(a, false))
		}
	})
}

func TestResting(t *testing.T) {
	busy, quiet := usage{allocated: 1 << 30, idle: 100 << 20}, usage{allocated: 1<<30 + 1<<20, idle: 99 << 20}
	require.False(t, busy.resting(usage{}), "it has just allocated a lot")
	require.True(t, quiet.resting(busy))
	require.False(t, usage{allocated: 1<<30 + 2<<20, idle: 5 << 20}.resting(quiet), "there is next to nothing to give back")
}

// TestCollected holds more than AtRest, and sees the percentage follow, up and down.
func TestCollected(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	tuning := &tuner{ctx: t.Context(), percent: 100}
	told := func(now time.Time) int {
		tuning.collected(now)
		return tuning.percent
	}
	now := time.Unix(1000, 0)
	runtime.GC()
	require.Equal(t, 100, told(now), "little is alive")

	held := make([]byte, 200<<20)
	runtime.GC()
	require.Less(t, told(now.Add(time.Minute)), 50, "the first for a minute")
	require.InDelta(t, 100, told(now.Add(time.Minute+Often/2)), 3, "and another")
	require.Equal(t, tuning.percent, debug.SetGCPercent(tuning.percent), "what the runtime was told")
	require.Less(t, told(now.Add(2*time.Minute)), 50, "calm again")
	runtime.KeepAlive(held)
}
