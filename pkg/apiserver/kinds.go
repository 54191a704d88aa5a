package apiserver

import (
	"context"
	"fmt"
	"sync"

	"bonsai/pkg/apiserver/customresource"
	"bonsai/pkg/apiserver/discovery"
	"bonsai/pkg/apiserver/openapi"
	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kinds is what the server serves at one moment: which kinds there are, and the documents that tell of them. It never changes. When
// a kind is defined, altered or withdrawn, the server makes another value and puts it in the place of this one; a request
// takes one when it comes in, and sees no other till it ends. The documents are made when they are first asked for: installing
// fifty definitions one after the other makes none of the forty-nine in between.
type kinds struct {
	// table finds every kind that is served, those that are answered and not stored included.
	table     *resource.Registry
	discovery func() (*discovery.Documents, error)
	openapi   func() (*openapi.Service, error)
	// version is that of the definitions that the custom kinds are from.
	version uint64
	// lives are the contexts of the kinds that may be withdrawn: what still goes on for one of them ends then.
	lives map[*resource.Row]life
}

// life is how long a kind is served.
type life struct {
	context.Context
	end context.CancelFunc
}

// Definer makes kinds while the server runs.
type Definer interface {
	// Rows returns the rows of the newest definitions, and a number that grows when they change.
	Rows() (rows []*resource.Row, version uint64)
	// Run keeps the definitions' status true, until ctx ends. Rows are Refresh's to serve.
	Run(ctx context.Context, s customresource.Server)
}

// Refresh has the server serve the newest definitions. A row that was there before and is the same pointer goes on; watches of
// those that are not there any longer end.
func (s *Server) Refresh() error {
	if s.cfg.Definer == nil {
		return nil
	}
	rows, version := s.cfg.Definer.Rows()
	if s.kinds.Load().version == version {
		return nil
	}
	s.installing.Lock()
	defer s.installing.Unlock()
	if s.kinds.Load().version >= version {
		return nil // somebody else has, and maybe newer ones
	}
	return s.serve(rows, version)
}

// refreshDocuments has the server's documents made anew: what is served elsewhere has changed.
func (s *Server) refreshDocuments() error {
	s.installing.Lock()
	defer s.installing.Unlock()
	before := s.kinds.Load()
	var custom []*resource.Row
	for _, row := range before.table.Rows() {
		if before.isCustom(row) {
			custom = append(custom, row)
		}
	}
	return s.serve(custom, before.version)
}

// isCustom tells whether row is from a definition.
func (k *kinds) isCustom(row *resource.Row) bool {
	_, ok := k.lives[row]
	return ok
}

func (s *Server) serve(custom []*resource.Row, version uint64) error {
	next, err := s.newKinds(custom)
	if err != nil {
		return err
	}
	next.version = version
	before := s.kinds.Swap(next)
	for row, l := range before.lives {
		if _, stays := next.lives[row]; !stays {
			l.end()
			s.fields.forget(row)
			s.metrics.forget(row)
		}
	}
	return nil
}

// find looks up what t is about. What is not known may have been defined a moment ago, so the definitions are looked at
// before that is said.
func (s *Server) find(t *target) *kinds {
	k := s.kinds.Load()
	k.resolve(t)
	if !t.isResource || t.row != nil || s.cfg.Definer == nil {
		return k
	}
	if err := s.Refresh(); err != nil {
		s.log.Error("the definitions cannot be served", "error", err)
		return k
	}
	k = s.kinds.Load()
	k.resolve(t)
	return k
}

// newKinds returns the value for the table's rows and custom.
func (s *Server) newKinds(custom []*resource.Row) (*kinds, error) {
	table, err := resource.NewRegistry(s.rows)
	if err != nil {
		return nil, err
	}
	table = table.With(custom)
	rows := table.Rows()
	k := &kinds{table: table, lives: map[*resource.Row]life{}}
	elsewhere, describedThere := s.aggregate.documents()
	k.discovery = sync.OnceValues(func() (*discovery.Documents, error) {
		d, err := discovery.New(rows, s.cfg.Address, elsewhere...)
		if err != nil {
			return nil, fmt.Errorf("make the discovery documents: %w", err)
		}
		return d, nil
	})
	described := s.described.Load()
	k.openapi = sync.OnceValues(func() (*openapi.Service, error) {
		d, err := openapi.New(rows, described, describedThere)
		if err != nil {
			return nil, fmt.Errorf("make the OpenAPI documents: %w", err)
		}
		s.described.Store(d)
		return d, nil
	})
	before := s.kinds.Load()
	for _, row := range custom {
		if before != nil {
			if l, stays := before.lives[row]; stays {
				k.lives[row] = l
				continue
			}
		}
		ctx, end := context.WithCancel(s.stopping)
		k.lives[row] = life{ctx, end}
	}
	return k, nil
}

// whileServed returns a context that ends with ctx, or when row is withdrawn.
func (k *kinds) whileServed(ctx context.Context, row *resource.Row) (context.Context, context.CancelFunc) {
	l, may := k.lives[row]
	if !may {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l, cancel)
	return ctx, func() { stop(); cancel() }
}

// resolve looks t up in the table of kinds.
func (k *kinds) resolve(t *target) {
	if !t.isResource {
		return
	}
	gvr := schema.GroupVersionResource{Group: t.group, Version: t.version, Resource: t.resource}
	if row, ver, ok := k.table.ByResource(gvr); ok {
		t.row, t.ver = row, ver
	}
}
