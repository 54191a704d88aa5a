package apiserver

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"bonsai/pkg/apiserver/discovery"
	"bonsai/pkg/apiserver/openapi"
	"bonsai/pkg/resource"
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
	// lives are the contexts of the kinds that may be withdrawn: what still goes on for one of them ends then.
	lives map[*resource.Row]life
}

// life is how long a kind is served.
type life struct {
	context.Context
	end context.CancelFunc
}

// Install makes custom, besides the kinds of the table, what the server serves from now on. A row that was there before and is the
// same pointer goes on; watches of those that are not there any longer end.
func (s *Server) Install(custom []*resource.Row) error {
	s.installing.Lock()
	defer s.installing.Unlock()
	next, err := s.newKinds(custom)
	if err != nil {
		return err
	}
	before := s.kinds.Swap(next)
	for row, l := range before.lives {
		if _, stays := next.lives[row]; !stays {
			l.end()
			s.fields.forget(row)
		}
	}
	return nil
}

// newKinds returns the value for the table's rows and custom.
func (s *Server) newKinds(custom []*resource.Row) (*kinds, error) {
	rows := slices.Concat(s.rows, custom)
	table, err := resource.NewRegistry(rows)
	if err != nil {
		return nil, err
	}
	k := &kinds{table: table, lives: map[*resource.Row]life{}}
	k.discovery = sync.OnceValues(func() (*discovery.Documents, error) {
		d, err := discovery.New(rows, s.cfg.Address)
		if err != nil {
			return nil, fmt.Errorf("make the discovery documents: %w", err)
		}
		return d, nil
	})
	k.openapi = sync.OnceValues(func() (*openapi.Service, error) {
		d, err := openapi.New(rows)
		if err != nil {
			return nil, fmt.Errorf("make the OpenAPI documents: %w", err)
		}
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
	ctx, cancel := context.WithCancel(ctx)
	l, may := k.lives[row]
	if !may {
		return ctx, cancel
	}
	stop := context.AfterFunc(l, cancel)
	return ctx, func() { stop(); cancel() }
}
