package reconcile

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"k8s.io/client-go/tools/record"
)

// applier does the actions of one plan.
type applier struct {
	kinds    []Resource
	recorder record.EventRecorder
	note     func(write)
}

// apply does the actions in order, up to the first failure. Steps tell what became of each.
func (a applier) apply(ctx context.Context, p Plan) ([]Step, *Failure) {
	steps := make([]Step, len(p))
	for i := range p {
		steps[i] = Step{Verb: p[i].Verb, Target: p[i].Target(), Reason: p[i].Reason}
	}
	for from := 0; from < len(p); {
		to := from + alike(p[from:])
		if failure := a.batches(ctx, p[from:to], steps[from:to]); failure != nil {
			return steps, failure
		}
		from = to
	}
	return steps, nil
}

// alike is the number of actions at the start of p that may be done at the same time: creates, or deletes, of one kind.
func alike(p Plan) int {
	if p[0].Verb != Create && p[0].Verb != Delete {
		return 1
	}
	n := 1
	for n < len(p) && p[n].Verb == p[0].Verb && reflect.TypeOf(p[n].Object) == reflect.TypeOf(p[0].Object) {
		n++
	}
	return n
}

// maxTogether bounds a batch: an API server takes only so many writes at a time, and others write too.
const maxTogether = 64

// batches does 1, 2, 4, … actions at a time, up to maxTogether, and stops after a batch in which one failed.
func (a applier) batches(ctx context.Context, p Plan, steps []Step) *Failure {
	for size := 1; len(p) > 0; size = min(2*size, maxTogether) {
		size = min(size, len(p))
		if failure := a.together(ctx, p[:size], steps[:size]); failure != nil {
			return failure
		}
		p, steps = p[size:], steps[size:]
	}
	return nil
}

// together does all of p concurrently and returns the first failure in the order of p.
func (a applier) together(ctx context.Context, p Plan, steps []Step) *Failure {
	var wg sync.WaitGroup
	for i := range p {
		wg.Go(func() { steps[i].Wrote, steps[i].Err = a.one(ctx, p[i]); steps[i].Tried = true })
	}
	wg.Wait()
	for i := range p {
		if steps[i].Err != nil {
			return &Failure{Action: p[i], Err: steps[i].Err}
		}
	}
	return nil
}

// one does a single action and records its event. It returns the resourceVersion that was made. A panic in it
// is an error, because it runs in a goroutine that nobody else guards.
func (a applier) one(ctx context.Context, act Action) (version string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if act.Verb == Wait {
		return "", nil
	}
	if act.Verb == Tell {
		a.record(act.Done, act.Done.Message)
		return "", nil
	}
	answer, err := a.write(ctx, act)
	switch {
	case err == nil && answer != nil:
		a.record(act.Done, fill(act.Done, "%s", answer.GetName()))
		return answer.GetResourceVersion(), nil
	case err == nil:
		a.record(act.Done, fill(act.Done, "%s", act.Object.GetName()))
	case harmless(act, err):
		return "", nil
	default:
		a.record(act.Failed, fill(act.Failed, "%v", err.Error()))
	}
	return "", err
}

// write sends the action to the server and notes it.
func (a applier) write(ctx context.Context, act Action) (Object, error) {
	if act.Living != nil {
		if err := a.living(ctx, act.Living); err != nil {
			return nil, err
		}
	}
	kind, err := a.kind(act.Object)
	if err != nil {
		return nil, err
	}
	answer, err := kind.Write(ctx, act)
	if err == nil {
		a.note(noteOf(kind, act, answer))
	}
	return answer, err
}

func (a applier) living(ctx context.Context, o Object) error {
	kind, err := a.kind(o)
	if err != nil {
		return err
	}
	l, ok := kind.(interface {
		living(context.Context, Object) error
	})
	if !ok {
		return fmt.Errorf("%s cannot be read live", kindOf(o))
	}
	return l.living(ctx, o)
}

func (a applier) kind(o Object) (Resource, error) {
	for _, k := range a.kinds {
		if k.Handles(o) {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%s is not among the kinds this loop writes; add it to Loop.Kinds", kindOf(o))
}

func (a applier) record(n *Note, message string) {
	if n != nil {
		a.recorder.Event(n.About, n.Type, n.Reason, message)
	}
}

// fill puts the one value that is only known after the write into an event's message.
func fill(n *Note, verb, value string) string {
	if n == nil {
		return ""
	}
	return strings.Replace(n.Message, verb, value, 1)
}
