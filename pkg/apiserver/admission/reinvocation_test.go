package admission

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// caller asks those that it knows, of whom each may change the object in the first round.
type caller struct {
	name    string
	known   []string
	changes map[string]bool
	again   map[string]bool
	asked   *[]string
}

func (c caller) Name() string { return c.name }

func (caller) Validate(context.Context, *Attributes) error { return nil }

func (c caller) Admit(_ context.Context, a *Attributes) error {
	calls := a.Calls(c.name)
	defer calls.Leave(a)
	for _, who := range c.known {
		if !calls.MayCall(who) {
			continue
		}
		*c.asked = append(*c.asked, who)
		if c.changes[who] && calls.Round() == 0 {
			a.Object.(*corev1.Pod).Spec.NodeName += who
			calls.Changed()
		}
		calls.Invoked(who, c.again[who])
	}
	return nil
}

func TestWhoWantsToIsAskedAgainOnceIfSomethingHasChangedSince(t *testing.T) {
	for name, c := range map[string]struct {
		changes, again []string
		want           []string
	}{
		"nothing changes":           {nil, []string{"a", "b", "c"}, []string{"a", "b", "c"}},
		"nobody wants to":           {[]string{"a", "b", "c"}, nil, []string{"a", "b", "c"}},
		"one's own change":          {[]string{"c"}, []string{"c"}, []string{"a", "b", "c"}},
		"a later change":            {[]string{"b"}, []string{"a", "b", "c"}, []string{"a", "b", "c", "a"}},
		"of another plugin":         {[]string{"c"}, []string{"a", "b", "c"}, []string{"a", "b", "c", "a", "b"}},
		"two that fight each other": {[]string{"a", "b", "c"}, []string{"a", "b", "c"}, []string{"a", "b", "c", "a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			set := func(names []string) map[string]bool {
				m := map[string]bool{}
				for _, n := range names {
					m[n] = true
				}
				return m
			}
			make := func(name string, known ...string) Plugin {
				return caller{name, known, set(c.changes), set(c.again), &asked}
			}
			chain := Chain{nested{Chain{make("one", "a", "b"), make("two", "c")}}}
			a := &Attributes{Object: runtime.Object(&corev1.Pod{})}
			require.NoError(t, chain.Admit(t.Context(), a))
			require.Equal(t, c.want, asked)
		})
	}
}

// nested is a chain in a chain.
type nested struct{ Chain }

func (nested) Name() string { return "nested" }
