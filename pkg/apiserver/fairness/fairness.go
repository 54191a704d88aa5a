package fairness

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/pkg/resource"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

// Config is what a Fairness is made of.
type Config struct {
	// Seats are how many requests of one seat may be worked on at once.
	Seats int
	// Wait is how long a request may stand in a queue.
	Wait time.Duration
	Now  func() time.Time
}

// Fairness lets requests in. Make it with New, tell it of its objects with Configure.
type Fairness struct {
	cfg     Config
	metrics *metrics
	rules   atomic.Pointer[rules]
	// next is when seats are lent anew, in Unix nanoseconds.
	next atomic.Int64
	// readsIn and writesIn stand in lines.
	readsIn, writesIn atomic.Int64

	mu       sync.Mutex // of changes of the configuration
	fraction float64
}

// rules are the configuration that requests are judged by. They are never changed, only replaced.
type rules struct {
	schemas []*schema
	levels  map[string]*level
}

// lendEvery is how often seats are lent anew.
const lendEvery = 10 * time.Second

// New returns a Fairness that knows the mandatory objects only.
func New(c Config) *Fairness {
	f := &Fairness{cfg: c, metrics: newMetrics()}
	f.rules.Store(&rules{levels: map[string]*level{}})
	f.Configure(nil, nil)
	return f
}

// Configure makes the objects take effect. Flow schemas whose level there is not are passed over; the mandatory ones are there always.
func (f *Fairness) Configure(schemas []*flowcontrolv1.FlowSchema, levels []*flowcontrolv1.PriorityLevelConfiguration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, old := f.cfg.Now(), f.rules.Load()
	next := &rules{levels: map[string]*level{}}
	specs := map[string]*flowcontrolv1.PriorityLevelConfigurationSpec{}
	levels = withMandatory(levels, resource.MandatoryPriorityLevels())
	for _, l := range levels {
		specs[l.Name] = &l.Spec
	}
	shares := divide(specs, f.cfg.Seats)
	for _, l := range levels {
		at := old.levels[l.Name]
		if at == nil {
			at = newLevel(l.Name)
		}
		at.configure(string(l.UID), &l.Spec, shares[l.Name], now)
		next.levels[l.Name] = at
	}
	for _, s := range inOrder(withMandatory(schemas, resource.MandatoryFlowSchemas())) {
		if at := next.levels[s.Spec.PriorityLevelConfiguration.Name]; at != nil {
			next.schemas = append(next.schemas, f.schema(s, at))
		}
	}
	f.rules.Store(next)
	f.lend(now)
}

// withMandatory is all, and those of must that are not in it.
func withMandatory[T interface{ GetName() string }](all, must []T) []T {
	have := map[string]bool{}
	out := append([]T{}, all...)
	for _, o := range all {
		have[o.GetName()] = true
	}
	for _, o := range must {
		if !have[o.GetName()] {
			out = append(out, o)
		}
	}
	return out
}

func (f *Fairness) schema(s *flowcontrolv1.FlowSchema, at *level) *schema {
	out := &schema{name: s.Name, spec: &s.Spec, level: at, uid: []string{string(s.UID)}, counters: f.metrics.of(at.name, s.Name)}
	if m := s.Spec.DistinguisherMethod; m != nil {
		out.byUser = m.Type == flowcontrolv1.FlowDistinguisherMethodByUserType
		out.byNamespace = m.Type == flowcontrolv1.FlowDistinguisherMethodByNamespaceType
	}
	return out
}

// lend divides the seats by need. The caller has the lock.
func (f *Fairness) lend(now time.Time) {
	f.next.Store(now.Add(lendEvery).UnixNano())
	needs, levels := map[string]need{}, f.rules.Load().levels
	for name, l := range levels {
		needs[name] = l.look(now)
	}
	limits, fraction := lend(needs)
	f.fraction = fraction
	for name, l := range levels {
		l.mu.Lock()
		l.resize(limits[name], now)
		l.mu.Unlock()
	}
}

// lendIfDue is lend once in lendEvery, by whoever comes by first. Nobody comes by when nobody asks for anything, and nothing is due then.
func (f *Fairness) lendIfDue(now time.Time) {
	due := f.next.Load()
	if now.UnixNano() < due || !f.next.CompareAndSwap(due, now.Add(lendEvery).UnixNano()) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lend(now)
}

// classify returns the schema that r falls under.
func (r *rules) classify(q *Request) *schema {
	for _, s := range r.schemas {
		if s.matches(q) {
			return s
		}
	}
	for _, s := range r.schemas { // a user of neither common group
		if s.name == flowcontrolv1.FlowSchemaNameCatchAll {
			return s
		}
	}
	return r.schemas[len(r.schemas)-1]
}

// Pass is what a request holds from Enter to Leave.
type Pass struct {
	f       *Fairness
	schema  *schema
	ticket  ticket
	hasLeft atomic.Bool

	// SchemaUID and LevelUID are the values of the headers that every answer has.
	SchemaUID, LevelUID []string
	// RetryAfter is, for those turned away, how many seconds they should stay away; 0 lets them in.
	RetryAfter int64
}

// Schema and Level name what the request fell under.
func (p *Pass) Schema() string { return p.schema.name }

// Level is the name of the priority level.
func (p *Pass) Level() string { return p.schema.level.name }

// Waited is how long the request stood in a queue.
func (p *Pass) Waited() time.Duration { return p.ticket.started.Sub(p.ticket.arrived) }

// Enter returns when r may be worked on, or with a RetryAfter if it is turned away. work tells what it costs; most is the seats that one
// request of its level may take, or 0. The pass of a request that was let in has to be left.
func (f *Fairness) Enter(ctx context.Context, r *Request, now time.Time, work func(most int) Work) *Pass {
	f.lendIfDue(now)
	s := f.rules.Load().classify(r)
	l := s.level
	p := &Pass{f: f, schema: s, SchemaUID: s.uid}
	flow := s.distinguisher(r)
	p.ticket.from, p.ticket.who = s, r
	l.mu.Lock()
	p.LevelUID = l.uid
	most, exempt := l.widest, l.set.exempt
	l.mu.Unlock()
	p.ticket.work = Work{Seats: 1}
	if !exempt {
		p.ticket.work = work(most)
	}
	reason := f.enter(ctx, p, flow, now)
	if reason == "" {
		s.counters.begun(p)
		return p
	}
	s.counters.refused(reason, p, f.cfg.Now())
	p.RetryAfter = l.retry.refused(now)
	return p
}

// enter stands in line; the reason says why not.
func (f *Fairness) enter(ctx context.Context, p *Pass, flow string, now time.Time) (reason string) {
	l, t := p.schema.level, &p.ticket
	queued := l.enter(t, flowHash(p.schema.name, flow), now)
	switch {
	case !queued && l.waits():
		return "queue-full"
	case !queued:
		return "concurrency-limit"
	case t.turn == nil:
		return ""
	}
	p.schema.counters.queued(t, 1)
	defer p.schema.counters.queued(t, -1)
	waiting := &f.writesIn
	if t.who.Reads {
		waiting = &f.readsIn
	}
	waiting.Add(1)
	defer waiting.Add(-1)
	return l.await(ctx, t, f.cfg.Wait, f.cfg.Now)
}

// Waiting is how many requests that read, and others, stand in a line.
func (f *Fairness) Waiting() (reads, writes int64) { return f.readsIn.Load(), f.writesIn.Load() }

// Leave gives the seats back; only the first call does. A write that many watch keeps some for a while.
func (p *Pass) Leave(now time.Time) {
	if !p.hasLeft.CompareAndSwap(false, true) {
		return
	}
	p.schema.counters.ended(p, now)
	if p.ticket.work.Longer == 0 {
		p.schema.level.leave(&p.ticket, now)
		return
	}
	time.AfterFunc(p.ticket.work.Longer, func() { p.schema.level.leave(&p.ticket, p.f.cfg.Now()) })
}
