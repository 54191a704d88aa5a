package cluster

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestStackStopsInOppositeOrder(t *testing.T) {
	s := newStack()
	var stopped []string
	for _, name := range []string{"store", "apiserver", "kubelet"} {
		s.start(name, func(ctx context.Context) error {
			<-ctx.Done()
			stopped = append(stopped, name) // no lock: the next is only stopped after this one has returned
			return nil
		})
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"kubelet", "apiserver", "store"}; !slices.Equal(stopped, want) {
		t.Fatalf("stopped %v, want %v", stopped, want)
	}
}

func TestStackReportsTheFirstFailure(t *testing.T) {
	s := newStack()
	broken := errors.New("no space left on device")
	s.start("store", func(context.Context) error { return broken })
	err := <-s.failed
	if !errors.Is(err, broken) || err.Error() != "store: no space left on device" {
		t.Fatalf("got %v", err)
	}
	s.start("kubelet", func(ctx context.Context) error { <-ctx.Done(); return nil })
	if err := s.stop(); err != nil {
		t.Fatalf("what failed before is not told twice, got %v", err)
	}
}

func TestAPartMayNotEndByItself(t *testing.T) {
	s := newStack()
	s.start("proxy", func(context.Context) error { return nil })
	if err := <-s.failed; err.Error() != "proxy: ended by itself" {
		t.Fatalf("got %v", err)
	}
	_ = s.stop()
}
