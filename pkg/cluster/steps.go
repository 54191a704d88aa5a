package cluster

import (
	"sync"
	"time"
)

// Step is one thing that happened on the way up or down, for people to see.
type Step struct {
	Name   string
	Detail string        // what came of it; empty if there is nothing to tell
	Took   time.Duration // zero when the step has only begun
	Done   bool
	Err    string // why it failed; empty if it did not
}

// Steps reports steps to whoever shows them. Several may be under way at once.
type Steps struct {
	mu   sync.Mutex
	show func(Step)
}

// NewSteps returns Steps that calls show, never twice at once.
func NewSteps(show func(Step)) *Steps { return &Steps{show: show} }

// Do runs f as a step. f returns the detail to show.
func (s *Steps) Do(name string, f func() (detail string, err error)) error {
	s.emit(Step{Name: name})
	start := time.Now()
	detail, err := f()
	done := Step{Name: name, Detail: detail, Took: time.Since(start), Done: true}
	if err != nil {
		done.Err = err.Error()
	}
	s.emit(done)
	return err
}

func (s *Steps) emit(step Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.show(step)
}
