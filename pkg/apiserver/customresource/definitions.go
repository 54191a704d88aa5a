package customresource

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/pkg/apiserver/live"
	"bonsai/pkg/apiserver/oldcert"
	"bonsai/pkg/resource"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Resource is the kind of definitions.
var Resource = schema.GroupResource{Group: apiextensionsv1.GroupName, Resource: "customresourcedefinitions"}

// Definitions are the kinds that are defined, compiled.
type Definitions struct {
	crds     *live.Kind[*apiextensionsv1.CustomResourceDefinition]
	src      live.Source
	services Services
	servers  *oldcert.Counts
	now      func() time.Time
	log      *slog.Logger

	mu      sync.Mutex
	seen    uint64
	entries map[string]*entry
	rows    []*resource.Row
	version uint64
	plan    map[string]apiextensionsv1.CustomResourceDefinitionStatus
}

// entry is what was made of a definition.
type entry struct {
	spec  apiextensionsv1.CustomResourceDefinitionSpec
	names apiextensionsv1.CustomResourceDefinitionNames
	kind  *kind // nil if it cannot be compiled
	rows  []*resource.Row
	// inStorage is a row of the stored version, served or not, to delete objects by.
	inStorage   *resource.Row
	terminating atomic.Bool
}

// Config is what Definitions are made from.
type Config struct {
	Source live.Source
	// Services are asked where conversion webhooks are.
	Services Services
	// Servers is where their certificates are looked at; nil if nobody wants to know.
	Servers *oldcert.Counts
	Now     func() time.Time
}

// New returns the definitions that the source has.
func New(c Config) *Definitions {
	d := &Definitions{
		crds: live.Follow[*apiextensionsv1.CustomResourceDefinition](c.Source, Resource),
		src:  c.Source, services: c.Services, servers: c.Servers, now: c.Now, log: c.Source.Logger, entries: map[string]*entry{},
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	return d
}

// Rows returns the rows of all kinds that are established, or will be as soon as it is written down, and a number that grows when
// anything about them changes.
func (d *Definitions) Rows() ([]*resource.Row, uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.catchUp()
	return d.rows, d.version
}

// catchUp compiles what has changed.
func (d *Definitions) catchUp() {
	now := d.crds.Version()
	if d.plan != nil && now == d.seen {
		return
	}
	d.seen = now
	crds := d.crds.All()
	d.plan = planStatus(crds, d.now())
	entries, changed := map[string]*entry{}, false
	var rows []*resource.Row
	for _, crd := range crds {
		e, isNew := d.entry(crd)
		if e == nil {
			continue
		}
		ends := crd.DeletionTimestamp != nil
		changed = e.terminating.Swap(ends) != ends || isNew || changed
		entries[crd.Name] = e
		rows = append(rows, e.rows...)
	}
	if changed || !slices.Equal(rows, d.rows) {
		d.version++
	}
	d.entries, d.rows = entries, rows
}

// entry returns what is made of crd: what was made before, if it follows from the same; nil if it is not to be served.
func (d *Definitions) entry(crd *apiextensionsv1.CustomResourceDefinition) (e *entry, isNew bool) {
	status := d.plan[crd.Name]
	planned := &apiextensionsv1.CustomResourceDefinition{Status: status}
	if !apihelpers.IsCRDConditionTrue(planned, apiextensionsv1.Established) {
		return nil, false
	}
	if e := d.entries[crd.Name]; e != nil && equality.Semantic.DeepEqual(e.spec, crd.Spec) && equality.Semantic.DeepEqual(e.names, status.AcceptedNames) {
		return e, false
	}
	e = &entry{spec: crd.Spec, names: status.AcceptedNames}
	if err := d.compile(e, crd); err != nil {
		d.log.Error("a definition cannot be served", "name", crd.Name, "error", err)
	}
	return e, true
}

func (d *Definitions) compile(e *entry, crd *apiextensionsv1.CustomResourceDefinition) error {
	k, err := compile(crd, e.names)
	if err != nil {
		e.inStorage = bare(crd, e.names)
		return err
	}
	k.terminating = e.terminating.Load
	k.convert = d.converter(crd.Spec.Conversion)
	stored := k.versions[k.stored.Version]
	if stored == nil {
		return fmt.Errorf("no version is the stored one")
	}
	e.kind, e.rows, e.inStorage = k, k.rows(), k.row(stored)
	return nil
}

// bare is the row of the stored version as it would be without a schema: enough to delete the objects of a definition by that nobody can
// make sense of any longer. It is nil if not even the place of the objects is known.
func bare(crd *apiextensionsv1.CustomResourceDefinition, names apiextensionsv1.CustomResourceDefinitionNames) *resource.Row {
	plain := crd.DeepCopy()
	plain.Spec.PreserveUnknownFields = true
	for i := range plain.Spec.Versions {
		v := &plain.Spec.Versions[i]
		*v = apiextensionsv1.CustomResourceDefinitionVersion{Name: v.Name, Served: v.Served, Storage: v.Storage}
	}
	k, err := compile(plain, names)
	if err != nil || k.versions[k.stored.Version] == nil {
		return nil
	}
	k.convert, k.terminating = rename{}, func() bool { return true }
	return k.row(k.versions[k.stored.Version])
}

func (d *Definitions) converter(c *apiextensionsv1.CustomResourceConversion) Converter {
	if c == nil || c.Strategy != apiextensionsv1.WebhookConverter {
		return rename{}
	}
	w, err := newWebhook(c.Webhook, d.services, d.servers)
	if err != nil {
		return broken{err}
	}
	return w
}
