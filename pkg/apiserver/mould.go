package apiserver

import (
	"sync"

	"bonsai/pkg/resource"
)

// Pods come from templates: what a create works out about one (that it is valid, what to warn of, its JSON) has most often been worked out
// a moment ago about another that differs in its name, its uid and the second. So that is kept by the shape they share
// (resource.AppendShape), which the encoded object gives away for next to nothing. It is half of the work of a create. Rows say with
// Alike whether, and of which objects, the name makes no difference to validity.

// moulds is what is known of the shapes that were created last.
type moulds struct {
	mu      sync.RWMutex
	byShape map[string]*mould
}

// mouldsMost bounds what is kept, some 12 KiB each. When it is full it starts over: what is in use is back soon.
const mouldsMost = 64

// mould is what objects of one shape have in common.
type mould struct {
	warnings []string
	json     *resource.Mould // nil until somebody wanted JSON
}

// casting is the create of an object that may have a mould. A nil one is of a kind that has none.
type casting struct {
	value []byte // the object, encoded for the store
	shape []byte // borrowed from shapes until done
	found *mould
	// warnings are those of the validation, if there was no mould.
	warnings []string
}

var shapes = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

// cast encodes obj, a new object of t that is ready to be validated, and looks for its mould.
func (s *Server) cast(t *target, obj resource.Object) (*casting, error) {
	if t.row.Alike == nil || !t.row.Alike(obj) || t.ver.Validate != nil || !isLabel(obj.GetName()) {
		return nil, nil
	}
	value, err := t.row.EncodeStorage(obj)
	if err != nil {
		return nil, err
	}
	buf := shapes.Get().(*[]byte)
	shape, err := resource.AppendShape((*buf)[:0], value)
	if err != nil {
		return nil, err
	}
	k := &casting{value: value, shape: shape}
	s.moulds.mu.RLock()
	defer s.moulds.mu.RUnlock()
	k.found = s.moulds.byShape[string(shape)]
	return k, nil
}

// done gives back what k has borrowed.
func (k *casting) done() {
	if k != nil {
		shapes.Put(&k.shape)
	}
}

// isLabel tells whether name is a DNS label, which every kind takes for a name and no encoding has to escape.
func isLabel(name string) bool {
	const most = 63
	for i := range len(name) {
		c := name[i]
		inside := c == '-' && i > 0 && i < len(name)-1
		if !inside && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= most
}

// encoded makes a draft of obj, by its mould or else leaving one behind. json says that the client wants JSON back.
func (s *Server) encoded(t *target, obj resource.Object, k *casting, json bool) (draft, error) {
	d := newDraft(t, obj, k.value)
	if !json {
		if k.found == nil {
			s.moulds.keep(k.shape, &mould{warnings: k.warnings})
		}
		return d, nil
	}
	if k.found != nil && k.found.json != nil {
		if j, ok := k.found.json.Cast(obj); ok {
			d.json = &j
			return d, nil
		}
	}
	j, err := resource.DraftJSON(t.row.GVK(), obj)
	if err != nil {
		return d, err
	}
	m := &mould{warnings: k.warnings}
	if k.found != nil {
		m.warnings = k.found.warnings
	}
	m.json, _ = j.Mould(obj)
	s.moulds.keep(k.shape, m)
	d.json = &j
	return d, nil
}

func (m *moulds) keep(shape []byte, made *mould) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byShape == nil || len(m.byShape) >= mouldsMost {
		m.byShape = map[string]*mould{}
	}
	m.byShape[string(shape)] = made
}
