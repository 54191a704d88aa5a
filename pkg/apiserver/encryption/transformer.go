package encryption

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Transformer encrypts and decrypts the values of a store, each as the configuration says for its resource. Make it with Load.
type Transformer struct {
	// ResourceOf says which resource's object is kept at a key. Values of no resource stay plain.
	resourceOf func(key string) (schema.GroupResource, bool)
	current    atomic.Pointer[configured]
	log        *slog.Logger
	path       string
	read       []byte
	// Counts, if set before anything is transformed, counts what is.
	Counts *Metrics
}

// configured is what one configuration says. It does not change.
type configured struct {
	chains  map[schema.GroupResource]chain
	plugins []*envelope
}

// anyResource stands for all resources of a group; with that as the group as well, for all there are.
const anyResource = "*"

// plain is what happens to resources of which the configuration says nothing: they are not encrypted, and what is cannot be read.
var plain = chain{{sealer: identity{}, alone: true}}

// chainOf returns the chain for the value of a key, and whose it is; of no resource if nobody has said anything about that.
func (t *Transformer) chainOf(key string) (chain, schema.GroupResource) {
	r, ok := t.resourceOf(key)
	if !ok {
		return plain, schema.GroupResource{}
	}
	chains := t.current.Load().chains
	for _, name := range []schema.GroupResource{r, {Group: r.Group, Resource: anyResource}, {Group: anyResource, Resource: anyResource}} {
		if c, ok := chains[name]; ok {
			return c, r
		}
	}
	return plain, schema.GroupResource{}
}

// ToStorage implements store.Transformer.
func (t *Transformer) ToStorage(ctx context.Context, key string, value []byte) (stored []byte, err error) {
	c, of := t.chainOf(key)
	first := c[0]
	if !of.Empty() {
		defer func(began time.Time) { t.Counts.transformed(of, "to_storage", first.prefix, began, err) }(time.Now())
	}
	sealed, err := first.seal(ctx, key, value)
	if err != nil || first.prefix == "" {
		return sealed, err
	}
	return append([]byte(first.prefix), sealed...), nil
}

// FromStorage implements store.Transformer.
func (t *Transformer) FromStorage(ctx context.Context, key string, stored []byte) ([]byte, bool, error) {
	c, of := t.chainOf(key)
	if of.Empty() {
		value, stale, _, err := c.open(ctx, key, stored)
		return value, stale, err
	}
	began := time.Now()
	value, stale, by, err := c.open(ctx, key, stored)
	t.Counts.transformed(of, "from_storage", by, began, err)
	return value, stale, err
}

// chain is the providers of a resource, one link for each of their keys. The first one writes, all read.
type chain []link

type link struct {
	sealer
	// prefix marks what the link has written: the family, and then the name of the key.
	prefix string
	// family marks what a provider of its kind has written, by whatever key; unknown is the error if no link has that.
	family  string
	unknown error
	// alone is the link of which there is no choice: its failure is the reason.
	alone bool
}

var errNoPrefix = errors.New("no matching prefix found")

// open also tells by which prefix the value was found to be encrypted, as metrics name it.
func (c chain) open(ctx context.Context, key string, stored []byte) (value []byte, stale bool, by string, err error) {
	var failed, unknown error
	by = "unknown"
	for i, l := range c {
		sealed, ok := bytes.CutPrefix(stored, []byte(l.prefix))
		if !ok {
			if l.family != "" && bytes.HasPrefix(stored, []byte(l.family)) {
				unknown = l.unknown
			}
			continue
		}
		value, stale, err := l.open(ctx, key, sealed)
		if err == nil {
			return value, stale || i > 0, cmp.Or(l.prefix, "identity"), nil
		}
		by = cmp.Or(l.prefix, by)
		if l.prefix != "" || l.alone { // that identity does not read what is encrypted is no failure of the others
			failed = errors.Join(failed, err)
		}
	}
	for _, err := range []error{failed, unknown} {
		if err != nil {
			return nil, false, by, err
		}
	}
	return nil, false, by, errNoPrefix
}

const (
	askPeriod   = time.Minute      // a plugin that was well is asked again after it
	retryPeriod = 10 * time.Second // and one that was not, after that
	startWait   = 30 * time.Second // a plugin may need that long to come up beside us
)

// Start asks the plugins for keys to write with; without these nothing could be served. Then it keeps asking, until ctx ends.
func (t *Transformer) Start(ctx context.Context) error {
	return t.current.Load().start(ctx, t.log, t.Counts.ofKeys())
}

func (c *configured) start(ctx context.Context, log *slog.Logger, counts *keyMetrics) error {
	wait, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for _, p := range c.plugins {
		p.counts = counts
		if err := p.begin(wait); err != nil {
			return err
		}
	}
	for _, p := range c.plugins {
		go p.keepFresh(ctx, log)
	}
	return nil
}

// Check says whether all plugins are well, as /healthz tells. It does not ask them: they are asked regularly.
func (t *Transformer) Check(context.Context) error {
	var all error
	for _, p := range t.current.Load().plugins {
		all = errors.Join(all, p.health())
	}
	return all
}

// HasPlugins says whether there is anything to Check.
func (t *Transformer) HasPlugins() bool { return len(t.current.Load().plugins) > 0 }
