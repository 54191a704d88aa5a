package cli

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"bonsai/pkg/store"
)

// The etcd of a bench serves where it says, to a store of another process, until it is told to end.
func TestBenchEtcd(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	dir := t.TempDir()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serveEtcd(ctx, dir, in)
		in.CloseWithError(err)
		ended <- err
	}()
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	s, err := store.Open(ctx, store.Config{Endpoints: []string{strings.TrimSpace(address)}})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	stop()
	require.NoError(t, <-ended)
}
