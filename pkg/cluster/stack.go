package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// stack is the parts of a cluster that run, in the order in which they were started. They are stopped in the opposite
// order, one after the other, because each needs those below it to end well: the kubelet writes its last status to the
// API server, which needs its store.
//
//	start ──▶ running ──▶ (ends by itself) ──▶ failed gets its error, once for the whole stack
//	             └── stop: its context is cancelled, and it is waited for
type stack struct {
	mu     sync.Mutex
	parts  []*part
	failed chan error // the first part that ended although nobody asked it to
}

type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid after done is closed
}

func newStack() *stack { return &stack{failed: make(chan error, 1)} }

// start runs a part beside the others. Its context ends only with stop, so that parts above it can still use it while
// they stop.
func (s *stack) start(name string, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	s.mu.Lock()
	s.parts = append(s.parts, p)
	s.mu.Unlock()
	go func() {
		defer close(p.done)
		p.err = run(ctx)
		if ctx.Err() != nil {
			return
		}
		err := p.err
		if err == nil {
			err = errors.New("ended by itself")
		}
		s.fail(fmt.Errorf("%s: %w", name, err))
	}()
}

// fail tells of a failure, unless another was first, which tells more.
func (s *stack) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// stop stops all parts, last started first, and returns what went wrong in the stopping.
func (s *stack) stop() error {
	var errs []error
	for i := len(s.parts) - 1; i >= 0; i-- {
		p := s.parts[i]
		alreadyEnded := p.ended()
		p.cancel()
		<-p.done
		if p.err != nil && !alreadyEnded && !errors.Is(p.err, context.Canceled) {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.name, p.err))
		}
	}
	s.parts = nil
	return errors.Join(errs...)
}

func (p *part) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
