package heap

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPercentFor(t *testing.T) {
	for alive, percent := range map[uint64]int{
		0: 100, 20 << 20: 100, 64 << 20: 100, 96 << 20: 70, 270 << 20: 33, 1 << 30: 17, 64 << 30: 12,
	} {
		require.Equal(t, percent, percentFor(alive), "of %d MiB", alive>>20)
	}
}

// More that is alive never means less room, but for what rounding takes.
func TestRoomGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Uint64Range(1, 1<<40).Draw(t, "a")
		b := rapid.Uint64Range(a, 1<<40).Draw(t, "b")
		room := func(alive uint64) uint64 { return alive * uint64(percentFor(alive)) / 100 }
		if room(b)+b/100 < room(a) {
			t.Fatalf("room of %d: %d, of %d: %d", a, room(a), b, room(b))
		}
	})
}

func TestResting(t *testing.T) {
	busy, quiet := usage{allocated: 1 << 30, idle: 100 << 20}, usage{allocated: 1<<30 + 1<<20, idle: 99 << 20}
	require.False(t, busy.resting(usage{}), "it has just allocated a lot")
	require.True(t, quiet.resting(busy))
	require.False(t, usage{allocated: 1<<30 + 2<<20, idle: 5 << 20}.resting(quiet), "there is next to nothing to give back")
}

// TestTune holds more than RoomBase, and sees the percentage follow, up and down.
func TestTune(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	ctx, end := context.WithCancel(context.Background())
	tuning := &tuner{ctx: ctx}
	tuning.percent.Store(100)
	runtime.GC()
	tuning.tune()
	require.EqualValues(t, 100, tuning.percent.Load())

	held := make([]byte, 200<<20)
	runtime.GC()
	tuning.tune()
	require.Less(t, tuning.percent.Load(), int64(50))
	require.EqualValues(t, tuning.percent.Load(), debug.SetGCPercent(100), "what the runtime was told")
	runtime.KeepAlive(held)

	end()
	tuning.tune()
	require.Equal(t, 100, debug.SetGCPercent(100), "nothing stays behind")
}
