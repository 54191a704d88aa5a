package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// profile takes a CPU profile of the API server for as long as d, if profiles are wanted. The returned function waits for it.
func (b *bench) profile(ctx context.Context, api *server, name string, d time.Duration) (wait func()) {
	if b.ProfileDir == "" {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.takeProfile(ctx, api, name, d); err != nil {
			b.progress("no profile of %s: %v", name, err)
		}
	}()
	return func() { <-done }
}

func (b *bench) takeProfile(ctx context.Context, api *server, name string, d time.Duration) error {
	return b.keepProfile(ctx, api, name, fmt.Sprintf("profile?seconds=%d", max(1, int(d.Seconds()))))
}

// heapProfile takes a profile of the API server's heap, if profiles are wanted.
func (b *bench) heapProfile(ctx context.Context, api *server, name string) error {
	if b.ProfileDir == "" {
		return nil
	}
	return b.keepProfile(ctx, api, name, "heap")
}

func (b *bench) keepProfile(ctx context.Context, api *server, name, what string) error {
	text, err := api.get(ctx, "/debug/pprof/"+what, "")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.ProfileDir, 0o755); err != nil {
		return err
	}
	name = strings.NewReplacer(" ", "-", ",", "").Replace(name)
	return os.WriteFile(filepath.Join(b.ProfileDir, name+".pprof"), text, 0o644)
}
