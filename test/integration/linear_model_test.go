package integration

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// request is one that a client sent about one object. A list is a get of each object that there might be.
type request struct {
	verb, name string
	value      string // what a write is to leave, which no other write does
	rev        int64  // what an update was computed from
}

// reply is what came of it.
type reply struct {
	what  string // made, absent, exists, conflict, or unknown
	value string
	rev   int64
}

const (
	made     = "made"
	absent   = "absent"
	exists   = "exists"
	conflict = "conflict"
	unknown  = "unknown"
)

// register is what an object is, as far as clients can know: who writes without getting an answer leaves a revision that nobody
// knows until it is read.
type register struct {
	there, seen bool
	value       string
	rev         int64 // of the value if that has been seen, else of what was before it
}

// objectModel says what a server may answer that keeps one object and does one request after another.
var objectModel = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, output any) (bool, any) {
		return state.(register).step(input.(request), output.(reply))
	},
	DescribeOperation: func(input, output any) string {
		in, out := input.(request), output.(reply)
		return fmt.Sprintf("%s %s %d → %s %s %d", in.verb, in.value, in.rev, out.what, out.value, out.rev)
	},
}

func (r register) step(in request, out reply) (bool, any) {
	switch {
	case out.what == unknown:
		return true, r.perhaps(in)
	case in.verb == "get":
		return r.read(out)
	case in.verb == "create":
		if out.what == exists {
			return r.there, r
		}
		return !r.there && out.rev > r.rev, r.after(in.value, out.rev)
	case out.what == absent:
		return !r.there, r
	case in.verb == "update":
		if out.what == conflict {
			return r.there && !r.isAt(in.rev), r
		}
		return r.isAt(in.rev) && out.rev > r.rev, r.after(in.value, out.rev)
	case in.verb == "patch":
		return r.there && out.rev > r.rev, r.after(in.value, out.rev)
	case in.verb == "delete":
		return r.there, register{rev: r.rev}
	}
	panic("unknown verb " + in.verb)
}

func (r register) isAt(rev int64) bool { return r.there && r.seen && r.rev == rev }

func (r register) after(value string, rev int64) register { return register{true, true, value, rev} }

func (r register) read(out reply) (bool, any) {
	switch {
	case out.what == absent:
		return !r.there, r
	case !r.there || out.value != r.value:
		return false, r
	case r.seen:
		return out.rev == r.rev, r
	}
	return out.rev > r.rev, r.after(out.value, out.rev)
}

// perhaps is what a write leaves of which no answer came: what it was to do, if it could be done then. That it did nothing is the same
// as that it is still to be done when all others are over.
func (r register) perhaps(in request) register {
	switch {
	case in.verb == "create" && !r.there, in.verb == "patch" && r.there, in.verb == "update" && r.isAt(in.rev):
		return register{there: true, value: in.value, rev: r.rev}
	case in.verb == "delete" && r.there:
		return register{rev: r.rev}
	}
	return r
}

// requireLinearizable looks for an order of the requests about each object in which each did at once, at some time between its
// beginning and its end, what its client was told.
func requireLinearizable(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	byName := map[string][]porcupine.Operation{}
	for _, op := range history {
		name := op.Input.(request).name
		byName[name] = append(byName[name], op)
	}
	for name, ops := range byName {
		result, info := porcupine.CheckOperationsVerbose(objectModel, ops, inTime)
		if result != porcupine.Ok {
			picture := filepath.Join(t.ArtifactDir(), name+".html")
			require.NoError(t, porcupine.VisualizePath(objectModel, info, picture))
			t.Errorf("the %d requests about %s have no order that explains them (%s): see %s, which go test -artifacts keeps", len(ops), name, result, picture)
		}
	}
}

// The model itself: what it must refuse, it refuses.
func TestObjectModel(t *testing.T) {
	type step struct {
		in  request
		out reply
	}
	for _, tc := range []struct {
		name  string
		steps []step
		ok    bool
	}{
		{"a write is read", []step{{request{verb: "create", value: "a"}, reply{made, "a", 5}}, {request{verb: "get"}, reply{made, "a", 5}}}, true},
		{"a write is lost", []step{{request{verb: "create", value: "a"}, reply{made, "a", 5}}, {request{verb: "get"}, reply{what: absent}}}, false},
		{"a write comes twice", []step{{request{verb: "create", value: "a"}, reply{made, "a", 5}}, {request{verb: "create", value: "b"}, reply{made, "b", 6}}}, false},
		{"an update of what is no more", []step{{request{verb: "create", value: "a"}, reply{made, "a", 5}}, {request{verb: "patch", value: "b"}, reply{made, "b", 6}},
			{request{verb: "update", value: "c", rev: 5}, reply{made, "c", 7}}}, false},
		{"a conflict without a reason", []step{{request{verb: "create", value: "a"}, reply{made, "a", 5}}, {request{verb: "update", value: "c", rev: 5}, reply{what: conflict}}}, false},
		{"revisions go backwards", []step{{request{verb: "create", value: "a"}, reply{made, "a", 5}}, {request{verb: "patch", value: "b"}, reply{made, "b", 4}}}, false},
		{"an unknown write was done", []step{{request{verb: "create", value: "a"}, reply{what: unknown}}, {request{verb: "get"}, reply{made, "a", 5}}}, true},
		{"an unknown write was not done", []step{{request{verb: "create", value: "a"}, reply{what: unknown}}, {request{verb: "get"}, reply{what: absent}}}, true},
		{"an unknown write was done, then not", []step{{request{verb: "create", value: "a"}, reply{what: unknown}}, {request{verb: "get"}, reply{made, "a", 5}},
			{request{verb: "get"}, reply{what: absent}}}, false},
	} {
		var ops []porcupine.Operation
		for i, s := range tc.steps {
			end := int64(2*i + 1)
			if s.out.what == unknown {
				end = int64(time.Hour)
			}
			ops = append(ops, porcupine.Operation{ClientId: i, Input: s.in, Output: s.out, Call: int64(2 * i), Return: end})
		}
		require.Equal(t, tc.ok, porcupine.CheckOperations(objectModel, ops), tc.name)
	}
}
