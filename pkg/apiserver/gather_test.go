package apiserver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
)

func TestGatherTime(t *testing.T) {
	pods, maps := &resource.Row{}, &resource.Row{}
	s := &Server{watches: newWatches(10_000, 10_000)}
	open := func(n int, row *resource.Row, namespace string, narrow bool) (last *watching) {
		for range n {
			last = &watching{row: row, namespace: namespace, narrow: narrow}
			require.NoError(t, s.watches.begin(last, true))
		}
		return last
	}
	all := open(4, pods, "", false)
	mine := open(5, pods, "mine", false)
	require.Zero(t, s.gatherTime(mine, 1), "of nine nobody waits")
	open(16, pods, "mine", false)
	require.Equal(t, 6250*time.Microsecond, s.gatherTime(mine, 1), "25 are told of what happens in the namespace")
	require.Zero(t, s.gatherTime(all, 1), "four of what happens elsewhere")
	require.Zero(t, s.gatherTime(mine, gathered), "who is behind goes on")

	narrow := open(500, pods, "", true)
	require.Equal(t, 6250*time.Microsecond, s.gatherTime(mine, 1), "narrow watches do not count")
	require.Zero(t, s.gatherTime(narrow, 1), "nor wait")
	open(500, pods, "", false)
	require.Equal(t, gatherMost, s.gatherTime(all, 1))
	require.Zero(t, s.gatherTime(open(1, maps, "", false), 1), "of another kind")
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pause
		ctx, cancel := context.WithCancel(t.Context())
		took := func(d time.Duration) time.Duration {
			from := time.Now()
			p.take(ctx, d)
			return time.Since(from)
		}
		require.Zero(t, took(0))
		require.Nil(t, p.timer)
		require.Equal(t, 3*time.Millisecond, took(3*time.Millisecond))
		require.Equal(t, 5*time.Millisecond, took(5*time.Millisecond))
		cancel()
		require.Zero(t, took(time.Hour))
	})
}
