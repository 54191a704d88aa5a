package apiserver

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"bonsai/pkg/resource"
)

// Pods come from templates: a controller that has names generated sends the same bytes for each, a script the same but for the name. To
// read them, to fill in defaults and above all to find out which fields they set is half of the work of a create. So what
// a body came to is kept beside its text, and whoever sends that text again, as it is or around another name, gets a copy. What
// happens to the object from then on, admission first, happens to the copy.

// bodyTemplates is what the bodies came to that were sent last, of the rows whose defaults do not depend on names (Alike).
type bodyTemplates struct {
	mu   sync.RWMutex
	kept []*bodyTemplate
}

const (
	// templatesMost bounds what is kept. When it is full it starts over: what is in use is back soon.
	templatesMost = 64
	// templateLarge is from which length on a body, in bytes, is nobody's template.
	templateLarge = 32 << 10
)

// bodyTemplate is a body and what it came to.
type bodyTemplate struct {
	source
	before, after string // the body around the name, or before alone if it has none
	named         bool
	obj           resource.Object // ready for admission, but for its name
}

// source is all that an object follows from besides the body.
type source struct {
	row        *resource.Row
	version    *resource.Version
	namespace  string
	media      media
	validation string
	manager    string
}

// receive returns the new object that the body of a create is, with its defaults and in its namespace. Most often it notes the owners
// of its fields, and in o that this is done.
func (s *Server) receive(c *call, validation string, o *writeOptions) (resource.Object, error) {
	if c.t.row.Alike == nil || c.record.WantsRequest() {
		return s.decode(c, validation)
	}
	m, body, err := sent(c)
	if err != nil {
		return nil, err
	}
	from := source{c.t.row, c.t.ver, c.t.namespace, m, validation, o.manager}
	obj := s.templates.copied(from, body, s.now())
	if obj != nil {
		c.recordRequest(c.t.gvk(), obj)
		o.applied = true
		return obj, nil
	}
	if obj, err = s.decodeBody(c, m, body, validation); err != nil {
		return nil, err
	}
	if err := s.owned(c, c.t, obj, *o); err != nil {
		return nil, err
	}
	o.applied = true
	if len(c.warnings.seen) == 0 {
		s.templates.keep(newTemplate(from, body, obj))
	}
	return obj, nil
}

// newTemplate is the template that obj follows, which body from that source came to; nil if there is no telling where in the body its
// name stands.
func newTemplate(from source, body []byte, obj resource.Object) *bodyTemplate {
	if len(body) > templateLarge {
		return nil
	}
	t := &bodyTemplate{source: from, before: string(body)}
	if name := obj.GetName(); name != "" {
		// Between quotes of which none is escaped, the only text that is the name is the name.
		quoted := `"` + name + `"`
		if from.media != mediaJSON || !isLabel(name) || strings.Count(t.before, quoted) != 1 || bytes.IndexByte(body, '\\') >= 0 {
			return nil
		}
		at := strings.Index(t.before, quoted) + 1
		t.before, t.after, t.named = t.before[:at], t.before[at+len(name):], true
	}
	t.obj = obj.DeepCopyObject().(resource.Object)
	return t
}

// nameIn returns the name in body, if the rest of it is this template's. It is a label, or empty.
func (t *bodyTemplate) nameIn(body []byte) (string, bool) {
	if !t.named {
		return "", string(body) == t.before
	}
	from, to := len(t.before), len(body)-len(t.after)
	if from >= to || string(body[:from]) != t.before || string(body[to:]) != t.after {
		return "", false
	}
	name := string(body[from:to])
	return name, isLabel(name)
}

// copied returns a copy of what body comes to, as of now; nil if that is not known.
func (t *bodyTemplates) copied(from source, body []byte, now time.Time) resource.Object {
	found, name := t.find(from, body)
	if found == nil {
		return nil
	}
	obj := found.obj.DeepCopyObject().(resource.Object)
	obj.SetName(name)
	datedNow(obj, now)
	return obj
}

func (t *bodyTemplates) find(from source, body []byte) (*bodyTemplate, string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, k := range t.kept {
		if k.source == from {
			if name, ok := k.nameIn(body); ok {
				return k, name
			}
		}
	}
	return nil, ""
}

// keep keeps made, unless it is nil.
func (t *bodyTemplates) keep(made *bodyTemplate) {
	if made == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) >= templatesMost {
		clear(t.kept)
		t.kept = t.kept[:0]
	}
	t.kept = append(t.kept, made)
}
