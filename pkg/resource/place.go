package resource

import "k8s.io/apimachinery/pkg/util/validation/field"

// A finding says where it was found: spec.containers[0].image. To write these places out costs several times what the checks
// cost, and nearly every object is valid and needs none. So locate runs a check twice: first with the place nil, whose children
// are nil too and at which a finding is no more than the fact that there is one; and only if there is one, again with the real
// place. The checks themselves do not see the difference: they are written as if every place were real.

// place is a field.Path, or nil: nowhere in particular.
type place field.Path

func newPlace(name string, more ...string) *place { return (*place)(field.NewPath(name, more...)) }

// The places where most checks begin.
var (
	atMetadata    = newPlace("metadata")
	atAnnotations = atMetadata.Child("annotations")
	atSpec        = newPlace("spec")
	atStatus      = newPlace("status")
)

// locate is check at p, and cheap if nothing is wrong.
func locate[S ~[]E, E any](p *place, check func(*place) S) S {
	if len(check(nil)) == 0 {
		return nil
	}
	return check(p)
}

// Child is the field name of the struct at p, and so on inwards.
func (p *place) Child(name string, more ...string) *place {
	if p == nil {
		return nil
	}
	return (*place)(p.path().Child(name, more...))
}

// Index is an item of the list at p.
func (p *place) Index(i int) *place {
	if p == nil {
		return nil
	}
	return (*place)(p.path().Index(i))
}

// Key is a value of the map at p.
func (p *place) Key(k string) *place {
	if p == nil {
		return nil
	}
	return (*place)(p.path().Key(k))
}

func (p *place) String() string { return p.path().String() }

// path is p for the checks of apimachinery.
func (p *place) path() *field.Path { return (*field.Path)(p) }

// somewhere is any finding at no place. Nobody may change it.
var somewhere = &field.Error{}

// The kinds of findings. The types of values are parameters: a value as an interface would be copied to the heap
// before it is known whether anybody will see it.

func invalidAt[T any](p *place, value T, detail string) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.Invalid(p.path(), value, detail)
}

func requiredAt(p *place, detail string) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.Required(p.path(), detail)
}

func forbiddenAt(p *place, detail string) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.Forbidden(p.path(), detail)
}

func duplicateAt[T any](p *place, value T) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.Duplicate(p.path(), value)
}

func notFoundAt[T any](p *place, value T) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.NotFound(p.path(), value)
}

func notSupportedAt[V any, T ~string](p *place, value V, known []T) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.NotSupported(p.path(), value, known)
}

func tooLongAt[T any](p *place, value T, most int) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.TooLong(p.path(), value, most)
}

func tooManyAt(p *place, actual, most int) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.TooMany(p.path(), actual, most)
}

func internalErrorAt(p *place, err error) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.InternalError(p.path(), err)
}
