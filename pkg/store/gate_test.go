package store

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestGateLetsOneAlonePass: who is alone is never held, not even for a moment after a crowd has gone.
func TestGateLetsOneAlonePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		begun := time.Now()
		for range 100 {
			require.NoError(t, g.enter(t.Context()))
			g.leave()
		}
		require.Zero(t, time.Since(begun))
	})
}

// TestGateGroups lets random writers come, write, and give up, and watches that groups do not overlap, that nobody is forgotten,
// and that nobody waits for longer than two groups and the time to gather.
func TestGateGroups(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		comes := rapid.SliceOfN(rapid.IntRange(0, 20), 1, 60).Draw(rt, "when each comes, in ms")
		patience := rapid.SliceOfN(rapid.IntRange(1, 30), len(comes), len(comes)).Draw(rt, "when it gives up, in ms")
		synctest.Test(t, func(t *testing.T) {
			const takes = 2 * time.Millisecond
			g := &gate{}
			done := make(chan time.Duration)
			for i := range comes {
				go func() {
					time.Sleep(time.Duration(comes[i]) * time.Millisecond)
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(patience[i])*time.Millisecond)
					defer cancel()
					begun := time.Now()
					err := g.enter(ctx)
					waited := time.Since(begun)
					if err == nil {
						time.Sleep(takes)
						g.leave()
					}
					done <- waited
				}()
			}
			for range comes {
				require.LessOrEqual(t, <-done, takes+gatherAtMax)
			}
			time.Sleep(2 * gatherAtMax)
			require.Zero(t, g.writing+g.waiting)
			require.False(t, g.gathering)
			require.Nil(t, g.next)
		})
	})
}
