package admission

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
)

// reinvocation is what the second round of Admit has to know of the first.
type reinvocation struct {
	wanted, second bool
	calls          map[string]*Calls // by plugin
}

// Calls are what a plugin that asks many (webhooks, policies) has asked about one request. Whoever wants to be asked again is,
// if the object has changed since: at most once, or two that undo each other's work would never end.
//
//	first round     each Invoked, in order; a change marks all who were asked before and want to be asked again
//	between         the other plugins run; what they change marks them too
//	second round    only those marked (MayCall)
type Calls struct {
	all  *reinvocation
	last runtime.Object // the object as the plugin left it
	// willing were asked and want to be asked again, due will be.
	willing, due sets.Set[string]
}

// Calls returns the record of the plugin, as of the beginning of a round of it.
func (a *Attributes) Calls(plugin string) *Calls {
	r := &a.reinvocation
	c := r.calls[plugin]
	if c == nil {
		if r.calls == nil {
			r.calls = map[string]*Calls{}
		}
		c = &Calls{all: r, willing: sets.New[string](), due: sets.New[string]()}
		r.calls[plugin] = c
	}
	if r.second && !equality.Semantic.DeepEqual(c.last, a.Object) {
		c.mark()
	}
	return c
}

// Round is 0 and, in the second round, 1.
func (c *Calls) Round() int {
	if c.all.second {
		return 1
	}
	return 0
}

// MayCall tells whether it is the turn of who: in the second round, nobody is asked for the first time.
func (c *Calls) MayCall(who string) bool { return !c.all.second || c.due.Has(who) }

// Changed says that the object has been changed: who was asked before may have to be asked again.
func (c *Calls) Changed() {
	c.mark()
	c.all.wanted = true
}

// Invoked says that who was asked, and whether it wants to be asked again.
func (c *Calls) Invoked(who string, again bool) {
	if again {
		c.willing.Insert(who)
	}
}

// Leave ends the round of the plugin.
func (c *Calls) Leave(a *Attributes) {
	if c.last = a.Object; c.last != nil {
		c.last = c.last.DeepCopyObject()
	}
}

func (c *Calls) mark() {
	c.due = c.due.Union(c.willing)
	c.willing = sets.New[string]()
}
